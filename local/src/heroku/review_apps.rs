//! Review apps: an app per pull request, in the review stage of its pipeline.
//!
//! By the Platform API's schema of 2026-02-19 (github.com/heroku/platform-api). Lists include
//! deleted review apps until the pipeline is deleted; how long Heroku lists them is not verified
//! (2026-11).

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{Account, format_timestamp};
use super::api_error::{ApiError, json_body};
use super::app_state::AppState;
use super::range::Page;
use super::records::{ReviewApp, ReviewStatus};
use super::stage::Stage;
use super::tokens::TokenScope;
use crate::{Error, ErrorKind};

impl Account {
    pub(super) fn create_review_app(
        &mut self,
        pipeline: &str,
        pull_request: u64,
    ) -> Result<Uuid, Error> {
        let pipeline = self.find_pipeline_id(pipeline, "create a review app")?;
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

    pub(super) fn create_app_for_review_app(
        &mut self,
        id: Uuid,
        name: &str,
    ) -> Result<Uuid, Error> {
        let review_app = self.review_app_mut(id)?;
        if review_app.app.is_some() {
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not create the app {name}: the review app {id} already has an app"),
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

    /// Removes a deleted app from its review app.
    pub(super) fn detach_app_from_review_app(&mut self, app: Uuid) {
        for review_app in &mut self.review_apps {
            review_app.app = review_app.app.filter(|current| *current != app);
        }
    }

    fn review_app_mut(&mut self, id: Uuid) -> Result<&mut ReviewApp, Error> {
        self.review_apps
            .iter_mut()
            .find(|review_app| review_app.id == id)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Input,
                    format!("could not find the review app {id}"),
                )
            })
    }

    fn review_app_json(&self, review_app: &ReviewApp) -> Value {
        let error = (review_app.status == ReviewStatus::Errored).then_some("The build failed.");
        json!({
            "app": review_app.app.map(|id| json!({"id": id})),
            "app_setup": null,
            "branch": format!("pull-request-{}", review_app.pull_request),
            "created_at": format_timestamp(review_app.created_at),
            "creator": {"id": self.user.id},
            "error_status": error,
            "fork_repo": null,
            "id": review_app.id,
            "message": error,
            "pipeline": {"id": review_app.pipeline},
            "pr_number": review_app.pull_request,
            "status": review_app.status.as_str(),
            "updated_at": format_timestamp(review_app.updated_at),
            "wait_for_ci": false,
        })
    }
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/pipelines/{pipeline}/review-apps", get(list))
        .route("/apps/{app}/review-app", get(info_of_app))
        .route("/review-apps/{review_app}", get(info))
}

async fn list(
    State(state): State<AppState>,
    Path(pipeline): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    let account = state.account();
    let id = account.parse_pipeline_id(&pipeline)?;
    let review_apps = account
        .review_apps
        .iter()
        .filter(|review_app| review_app.pipeline == id)
        .map(|review_app| account.review_app_json(review_app))
        .collect();
    page.respond(review_apps, &["id"])
}

async fn info_of_app(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(app): Path<String>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let app = account.authorized_app(&scope, &app)?.id;
    respond_with(&account, |review_app| review_app.app == Some(app))
}

async fn info(
    State(state): State<AppState>,
    Path(review_app): Path<Uuid>,
) -> Result<Response, ApiError> {
    respond_with(&state.account(), |stored| stored.id == review_app)
}

fn respond_with(
    account: &Account,
    is_wanted: impl Fn(&ReviewApp) -> bool,
) -> Result<Response, ApiError> {
    let review_app = account
        .review_apps
        .iter()
        .find(|review_app| is_wanted(review_app))
        .ok_or_else(|| ApiError::not_found("review app"))?;
    Ok(json_body(&account.review_app_json(review_app)))
}
