//! Pipelines, and the couplings that put apps into their stages.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{Account, format_timestamp, is_valid_name, matches_id_or_name};
use super::api_error::{ApiError, json_body};
use super::app_state::AppState;
use super::range::Page;
use super::records::{Coupling, Pipeline};
use super::stage::Stage;
use super::tokens::TokenScope;
use crate::{Error, ErrorKind};

impl Account {
    pub(super) fn create_pipeline(&mut self, name: &str) -> Result<Uuid, Error> {
        if !is_valid_name(name, 3..=30) {
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
                format!("could not create the pipeline {name}: the name is taken"),
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

    /// Deletes a pipeline and its couplings. The apps stay.
    pub(super) fn delete_pipeline(&mut self, pipeline: &str) -> Result<(), Error> {
        let id = self.find_pipeline_id(pipeline, "delete the pipeline")?;
        self.pipelines.retain(|pipeline| pipeline.id != id);
        self.couplings.retain(|coupling| coupling.pipeline != id);
        self.review_apps
            .retain(|review_app| review_app.pipeline != id);
        Ok(())
    }

    /// Puts an app into a stage. An app is in at most one pipeline; a stage may have several apps.
    pub(super) fn couple(
        &mut self,
        pipeline: &str,
        app: &str,
        stage: Stage,
    ) -> Result<Uuid, Error> {
        let action = "couple an app";
        let pipeline_id = self.find_pipeline_id(pipeline, action)?;
        let app_id = self.find_app_id(app, "couple the app")?;
        if let Some(coupling) = self.coupling(app_id) {
            let stage = coupling.stage;
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not couple the app {app} to the pipeline {pipeline}: it is \
                     already coupled, in stage {stage}; uncouple it first"
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
        let id = self.find_app_id(app, "uncouple the app")?;
        if self.coupling(id).is_none() {
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not uncouple the app {app}: it is not in a pipeline"),
            ));
        }
        self.couplings.retain(|coupling| coupling.app != id);
        Ok(())
    }

    /// Returns the id of a pipeline. The error reads "could not `action`".
    pub(super) fn find_pipeline_id(&self, id_or_name: &str, action: &str) -> Result<Uuid, Error> {
        self.pipeline(id_or_name)
            .map(|pipeline| pipeline.id)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Input,
                    format!("could not {action}: there is no pipeline {id_or_name}"),
                )
            })
    }

    fn pipeline(&self, id_or_name: &str) -> Option<&Pipeline> {
        self.pipelines
            .iter()
            .find(|pipeline| matches_id_or_name(pipeline.id, &pipeline.name, id_or_name))
    }

    /// Returns the id of a pipeline, for routes whose schema accepts ids and not names.
    pub(super) fn parse_pipeline_id(&self, id: &str) -> Result<Uuid, ApiError> {
        Uuid::try_parse(id)
            .ok()
            .filter(|id| self.pipelines.iter().any(|pipeline| pipeline.id == *id))
            .ok_or_else(|| ApiError::not_found("pipeline"))
    }

    pub(super) fn coupling(&self, app: Uuid) -> Option<&Coupling> {
        self.couplings.iter().find(|coupling| coupling.app == app)
    }

    fn pipeline_json(&self, pipeline: &Pipeline) -> Value {
        json!({
            "created_at": format_timestamp(pipeline.created_at),
            "generation": self.catalog.generation.json(),
            "id": pipeline.id,
            "name": pipeline.name,
            "owner": {"id": self.user.id, "type": "user"},
            "updated_at": format_timestamp(pipeline.created_at),
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
            "created_at": format_timestamp(coupling.created_at),
            "id": coupling.id,
            "pipeline": pipeline,
            "stage": coupling.stage.as_str(),
            "updated_at": format_timestamp(coupling.created_at),
        })
    }
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/pipelines", get(list))
        .route("/pipelines/{pipeline}", get(info))
        .route("/pipelines/{pipeline}/pipeline-couplings", get(couplings))
        .route("/apps/{app}/pipeline-couplings", get(coupling_of_app))
}

/// Lists all pipelines, or those with a name (`?eq[name]=`), as the CLI looks them up.
async fn list(
    State(state): State<AppState>,
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
    let account = state.account();
    let pipelines = account
        .pipelines
        .iter()
        .filter(|pipeline| name.as_ref().is_none_or(|name| pipeline.name == *name))
        .map(|pipeline| account.pipeline_json(pipeline))
        .collect();
    page.respond(pipelines, &["id", "name"])
}

async fn info(
    State(state): State<AppState>,
    Path(pipeline): Path<String>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let pipeline = account
        .pipeline(&pipeline)
        .ok_or_else(|| ApiError::not_found("pipeline"))?;
    Ok(json_body(&account.pipeline_json(pipeline)))
}

async fn couplings(
    State(state): State<AppState>,
    Path(pipeline): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    let account = state.account();
    let id = account.parse_pipeline_id(&pipeline)?;
    let couplings = account
        .couplings
        .iter()
        .filter(|coupling| coupling.pipeline == id)
        .map(|coupling| account.coupling_json(coupling))
        .collect();
    page.respond(couplings, &["id"])
}

async fn coupling_of_app(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(app): Path<String>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let app = account.authorized_app(&scope, &app)?;
    let coupling = account
        .coupling(app.id)
        .ok_or_else(|| ApiError::not_found("pipeline coupling"))?;
    Ok(json_body(&account.coupling_json(coupling)))
}
