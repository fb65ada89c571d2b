//! Pipelines and the couplings that put apps into their stages.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api_error::{ApiError, json_body};
use super::range::Page;
use super::shared::Shared;
use super::state::{Cloud, is, is_name, stamp};
use super::tokens::Reach;
use crate::{Error, ErrorKind};

/// A stage of a pipeline: the five that Heroku has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// `test`: what CI runs in.
    Test,
    /// `review`: review apps.
    Review,
    /// `development`.
    Development,
    /// `staging`.
    Staging,
    /// `production`.
    Production,
}

impl Stage {
    const ALL: [Self; 5] = [
        Self::Test,
        Self::Review,
        Self::Development,
        Self::Staging,
        Self::Production,
    ];

    /// The name that the API has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Review => "review",
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Input`] for anything that is not one of the five names.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == name)
            .ok_or_else(|| {
                let all = Self::ALL.map(Self::as_str).join(", ");
                Error::new(
                    ErrorKind::Input,
                    format!("{name:?} is not a pipeline stage: the stages are {all}"),
                )
            })
    }
}

pub(super) struct Pipeline {
    pub(super) id: Uuid,
    name: String,
    created_at: Timestamp,
}

pub(super) struct Coupling {
    id: Uuid,
    pub(super) app: Uuid,
    pipeline: Uuid,
    stage: Stage,
    created_at: Timestamp,
}

impl Cloud {
    pub(super) fn create_pipeline(&mut self, name: &str) -> Result<Uuid, Error> {
        if !is_name(name, 3..=30) {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not create the pipeline {name:?}: a name has 3 to 30 characters \
                     of a-z, 0-9 and - and begins with a letter"
                ),
            ));
        }
        if self.pipeline(name).is_some() {
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not create the pipeline {name}: there is one of that name"),
            ));
        }
        let id = Uuid::new_v4();
        self.pipelines.push(Pipeline {
            id,
            name: name.to_owned(),
            created_at: Timestamp::now(),
        });
        Ok(id)
    }

    /// Removes a pipeline and its couplings; the apps stay.
    pub(super) fn delete_pipeline(&mut self, pipeline: &str) -> Result<(), Error> {
        let id = self.existing_pipeline(pipeline, "delete it")?;
        self.pipelines.retain(|pipeline| pipeline.id != id);
        self.couplings.retain(|coupling| coupling.pipeline != id);
        self.review_apps
            .retain(|review_app| review_app.pipeline != id);
        Ok(())
    }

    /// Puts an app into a stage. An app is in one pipeline at most, a stage may
    /// have several apps.
    pub(super) fn couple(
        &mut self,
        pipeline: &str,
        app: &str,
        stage: Stage,
    ) -> Result<Uuid, Error> {
        let purpose = "couple an app to it";
        let pipeline_id = self.existing_pipeline(pipeline, purpose)?;
        let app_id = self.existing_app(app, "couple it")?;
        if let Some(coupling) = self.coupling(app_id) {
            let stage = coupling.stage;
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not couple the app {app} to the pipeline {pipeline}: it is \
                     coupled already, in stage {stage}; uncouple it first"
                ),
            ));
        }
        let id = Uuid::new_v4();
        self.couplings.push(Coupling {
            id,
            app: app_id,
            pipeline: pipeline_id,
            stage,
            created_at: Timestamp::now(),
        });
        Ok(id)
    }

    /// Takes an app out of its pipeline.
    pub(super) fn uncouple(&mut self, app: &str) -> Result<(), Error> {
        let id = self.existing_app(app, "uncouple it")?;
        if self.coupling(id).is_none() {
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not uncouple the app {app}: it is in no pipeline"),
            ));
        }
        self.couplings.retain(|coupling| coupling.app != id);
        Ok(())
    }

    pub(super) fn existing_pipeline(&self, asked: &str, purpose: &str) -> Result<Uuid, Error> {
        self.pipeline(asked)
            .map(|pipeline| pipeline.id)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Input,
                    format!("there is no pipeline {asked}, so it is not possible to {purpose}"),
                )
            })
    }

    fn pipeline(&self, asked: &str) -> Option<&Pipeline> {
        self.pipelines
            .iter()
            .find(|pipeline| is(pipeline.id, &pipeline.name, asked))
    }

    /// For the routes that the schema has for a pipeline's id alone.
    pub(super) fn pipeline_by_id(&self, asked: &str) -> Result<Uuid, ApiError> {
        Uuid::try_parse(asked)
            .ok()
            .filter(|id| self.pipelines.iter().any(|pipeline| pipeline.id == *id))
            .ok_or_else(|| ApiError::not_found("pipeline"))
    }

    fn coupling(&self, app: Uuid) -> Option<&Coupling> {
        self.couplings.iter().find(|coupling| coupling.app == app)
    }

    fn pipeline_json(&self, pipeline: &Pipeline) -> Value {
        json!({
            "created_at": stamp(pipeline.created_at),
            "generation": self.catalog.generation.json(),
            "id": pipeline.id,
            "name": pipeline.name,
            "owner": {"id": self.account.id, "type": "user"},
            "updated_at": stamp(pipeline.created_at),
        })
    }

    fn coupling_json(&self, coupling: &Coupling) -> Value {
        let mut pipeline = json!({"id": coupling.pipeline});
        // Not in the published schema; `apps:info` and `pipelines:promote` print it.
        if let Some(of) = self.pipelines.iter().find(|of| of.id == coupling.pipeline) {
            pipeline["name"] = json!(of.name);
        }
        json!({
            "app": {"id": coupling.app},
            "created_at": stamp(coupling.created_at),
            "id": coupling.id,
            "pipeline": pipeline,
            "stage": coupling.stage.as_str(),
            "updated_at": stamp(coupling.created_at),
        })
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/pipelines", get(list))
        .route("/pipelines/{pipeline}", get(info))
        .route("/pipelines/{pipeline}/pipeline-couplings", get(couplings))
        .route("/apps/{app}/pipeline-couplings", get(coupling_of_app))
}

/// All pipelines, or those with a name (`?eq[name]=`), as the CLI looks them up.
async fn list(
    State(shared): State<Shared>,
    Query(mut query): Query<BTreeMap<String, String>>,
    page: Page,
) -> Result<Response, ApiError> {
    let name = query.remove("eq[name]");
    if let Some(other) = query.keys().next() {
        return Err(ApiError::not_implemented(
            "GET",
            &format!("/pipelines?{other}"),
        ));
    }
    let cloud = shared.cloud();
    let pipelines = cloud
        .pipelines
        .iter()
        .filter(|pipeline| name.as_ref().is_none_or(|name| pipeline.name == *name))
        .map(|pipeline| cloud.pipeline_json(pipeline))
        .collect();
    page.of(pipelines, &["id", "name"])
}

async fn info(
    State(shared): State<Shared>,
    Path(pipeline): Path<String>,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let pipeline = cloud
        .pipeline(&pipeline)
        .ok_or_else(|| ApiError::not_found("pipeline"))?;
    Ok(json_body(&cloud.pipeline_json(pipeline)))
}

async fn couplings(
    State(shared): State<Shared>,
    Path(pipeline): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let id = cloud.pipeline_by_id(&pipeline)?;
    let couplings = cloud
        .couplings
        .iter()
        .filter(|coupling| coupling.pipeline == id)
        .map(|coupling| cloud.coupling_json(coupling))
        .collect();
    page.of(couplings, &["id"])
}

async fn coupling_of_app(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(app): Path<String>,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let app = cloud.reached_app(&reach, &app)?;
    let coupling = cloud
        .coupling(app.id)
        .ok_or_else(|| ApiError::not_found("pipeline coupling"))?;
    Ok(json_body(&cloud.coupling_json(coupling)))
}
