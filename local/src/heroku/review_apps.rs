//! Review apps: an app per pull request, in stage review of its pipeline.
//!
//! By the Platform API's schema of 2026-02-19 (github.com/heroku/platform-api). Lists name
//! review apps that are deleted too until the pipeline is gone: how long Heroku does so is
//! not verified (2026-11).

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api_error::{ApiError, json_body};
use super::pipelines::Stage;
use super::range::Page;
use super::shared::Shared;
use super::state::{Cloud, stamp};
use super::tokens::Reach;
use crate::{Error, ErrorKind};

/// What has become of a review app, by Heroku's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReviewStatus {
    /// `pending`: it is asked for.
    Pending,
    /// `creating`: its app is being set up.
    Creating,
    /// `created`: it can be used.
    Created,
    /// `deleting`: it is being taken down.
    Deleting,
    /// `deleted`: its app is gone.
    Deleted,
    /// `errored`: its making failed.
    Errored,
}

impl ReviewStatus {
    /// The name that the API has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Errored => "errored",
        }
    }
}

pub(super) struct ReviewApp {
    id: Uuid,
    pub(super) pipeline: Uuid,
    app: Option<Uuid>,
    pull_request: u64,
    status: ReviewStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Cloud {
    pub(super) fn create_review_app(
        &mut self,
        pipeline: &str,
        pull_request: u64,
    ) -> Result<Uuid, Error> {
        let pipeline = self.existing_pipeline(pipeline, "make a review app in it")?;
        let id = Uuid::new_v4();
        let now = Timestamp::now();
        self.review_apps.push(ReviewApp {
            id,
            pipeline,
            app: None,
            pull_request,
            status: ReviewStatus::Pending,
            created_at: now,
            updated_at: now,
        });
        Ok(id)
    }

    pub(super) fn create_app_of_review_app(&mut self, id: Uuid, name: &str) -> Result<Uuid, Error> {
        let review_app = self.review_app_mut(id)?;
        if review_app.app.is_some() {
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not make the app {name}: the review app {id} has one already"),
            ));
        }
        let pipeline = review_app.pipeline.to_string();
        let app = self.create_app(name)?;
        self.couple(&pipeline, name, Stage::Review)?;
        let review_app = self.review_app_mut(id)?;
        review_app.app = Some(app);
        self.set_review_status(id, ReviewStatus::Creating)?;
        Ok(app)
    }

    pub(super) fn set_review_status(
        &mut self,
        id: Uuid,
        status: ReviewStatus,
    ) -> Result<(), Error> {
        let review_app = self.review_app_mut(id)?;
        review_app.status = status;
        review_app.updated_at = Timestamp::now();
        match review_app.app {
            Some(app) if status == ReviewStatus::Deleted => self.delete_app(&app.to_string()),
            _ => Ok(()),
        }
    }

    /// An app that is gone is no review app's any more.
    pub(super) fn forget_app_of_review_app(&mut self, app: Uuid) {
        for review_app in &mut self.review_apps {
            review_app.app = review_app.app.filter(|own| *own != app);
        }
    }

    fn review_app_mut(&mut self, id: Uuid) -> Result<&mut ReviewApp, Error> {
        self.review_apps
            .iter_mut()
            .find(|review_app| review_app.id == id)
            .ok_or_else(|| Error::new(ErrorKind::Input, format!("there is no review app {id}")))
    }

    fn review_app_json(&self, review_app: &ReviewApp) -> Value {
        let error = (review_app.status == ReviewStatus::Errored).then_some("The build failed.");
        json!({
            "app": review_app.app.map(|id| json!({"id": id})),
            "app_setup": null,
            "branch": format!("pull-request-{}", review_app.pull_request),
            "created_at": stamp(review_app.created_at),
            "creator": {"id": self.account.id},
            "error_status": error,
            "fork_repo": null,
            "id": review_app.id,
            "message": error,
            "pipeline": {"id": review_app.pipeline},
            "pr_number": review_app.pull_request,
            "status": review_app.status.as_str(),
            "updated_at": stamp(review_app.updated_at),
            "wait_for_ci": false,
        })
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/pipelines/{pipeline}/review-apps", get(list))
        .route("/apps/{app}/review-app", get(of_app))
        .route("/review-apps/{review_app}", get(info))
}

async fn list(
    State(shared): State<Shared>,
    Path(pipeline): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let id = cloud.pipeline_by_id(&pipeline)?;
    let review_apps = cloud
        .review_apps
        .iter()
        .filter(|review_app| review_app.pipeline == id)
        .map(|review_app| cloud.review_app_json(review_app))
        .collect();
    page.of(review_apps, &["id"])
}

async fn of_app(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(app): Path<String>,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let app = cloud.reached_app(&reach, &app)?.id;
    one(&cloud, |review_app| review_app.app == Some(app))
}

async fn info(
    State(shared): State<Shared>,
    Path(review_app): Path<Uuid>,
) -> Result<Response, ApiError> {
    one(&shared.cloud(), |own| own.id == review_app)
}

fn one(cloud: &Cloud, is_wanted: impl Fn(&ReviewApp) -> bool) -> Result<Response, ApiError> {
    let review_app = cloud
        .review_apps
        .iter()
        .find(|review_app| is_wanted(review_app))
        .ok_or_else(|| ApiError::not_found("review app"))?;
    Ok(json_body(&cloud.review_app_json(review_app)))
}
