//! Pipeline promotions: `/pipeline-promotions`, which copies an app's slug to other apps.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{Account, format_timestamp};
use super::api_error::{ApiError, json_body};
use super::app_state::AppState;
use super::deployer::Deployment;
use super::range::Page;
use super::records::{Coupling, Promotion, PromotionTarget, ReleaseStatus, TargetStatus};
use super::release_output::ReleaseOutput;
use super::tokens::TokenScope;

/// The body of a promotion. Heroku refuses names here, by the schema.
#[derive(Deserialize)]
struct PromotionRequest {
    pipeline: Reference,
    source: SourceRequest,
    targets: Vec<TargetRequest>,
}

#[derive(Deserialize)]
struct SourceRequest {
    app: Reference,
    /// The current release if it is missing.
    release: Option<Reference>,
}

#[derive(Deserialize)]
struct TargetRequest {
    app: Reference,
}

#[derive(Deserialize)]
struct Reference {
    id: Uuid,
}

/// A target whose release waits for its release phase.
struct PendingTarget {
    app: Uuid,
    release: Uuid,
    deployment: Deployment,
}

impl Account {
    /// Creates a promotion whose targets are pending, except those that the token gives no access to.
    /// Each pending target has a release, which is pending, too.
    fn create_promotion(
        &mut self,
        scope: &TokenScope,
        request: &PromotionRequest,
        has_release_phase: bool,
    ) -> Result<(Uuid, Vec<PendingTarget>), ApiError> {
        let pipeline = self.parse_pipeline_id(&request.pipeline.id.to_string())?;
        let source = self.authorized_app(scope, &request.source.app.id.to_string())?;
        self.ensure_in_pipeline(source.id, &source.name, pipeline)?;
        let promoted = match &request.source.release {
            Some(release) => source.find_release(&release.id.to_string())?,
            // An app's first release is a success.
            None => source
                .current_release()
                .ok_or_else(|| ApiError::not_found("release"))?,
        };
        // The words of Heroku's own message are not verified (2026-11).
        let slug = promoted.slug.ok_or_else(|| {
            ApiError::invalid_params(format!(
                "The app {} has no release to promote: deploy to it first.",
                source.name
            ))
        })?;
        if promoted.status != ReleaseStatus::Succeeded {
            return Err(ApiError::invalid_params(format!(
                "Release v{} of the app {} did not succeed and cannot be promoted.",
                promoted.version, source.name
            )));
        }
        let (source, release) = ((source.id, source.name.clone()), promoted.id);
        // Heroku's form, as `heroku releases` shows it; it has a commit where this has the slug.
        let description = format!("Promote {} v{} {}", source.1, promoted.version, short(slug));
        let apps = self.check_targets(pipeline, source.0, &request.targets)?;

        let (mut targets, mut pending) = (Vec::new(), Vec::new());
        for (app, name) in apps {
            let mut target = PromotionTarget {
                id: Uuid::new_v4(),
                app,
                release: None,
                status: TargetStatus::Pending,
            };
            if scope.includes(app) {
                let output = ReleaseOutput::new();
                let stream = has_release_phase.then(|| output.clone());
                let release = self.create_pending_release(app, slug, description.clone(), stream);
                target.release = Some(release);
                pending.push(PendingTarget {
                    app,
                    release,
                    deployment: Deployment {
                        app: name,
                        source: source.1.clone(),
                        slug,
                        output,
                    },
                });
            } else {
                // The example of the schema.
                let message = "User does not have access to that app";
                target.status = TargetStatus::Failed(message.to_owned());
            }
            targets.push(target);
        }
        let now = Timestamp::now();
        let id = Uuid::new_v4();
        self.promotions.push(Promotion {
            id,
            pipeline,
            source: source.0,
            release,
            targets,
            created_at: now,
            updated_at: now,
        });
        Ok((id, pending))
    }

    /// Returns id and name of each target's app, if the pipeline has them all.
    fn check_targets(
        &self,
        pipeline: Uuid,
        source: Uuid,
        targets: &[TargetRequest],
    ) -> Result<Vec<(Uuid, String)>, ApiError> {
        if targets.is_empty() {
            let message = "A promotion needs at least one target.";
            return Err(ApiError::invalid_params(message));
        }
        let mut apps: Vec<(Uuid, String)> = Vec::new();
        for target in targets {
            let app = self
                .app(&target.app.id.to_string())
                .ok_or_else(|| ApiError::not_found("app"))?;
            self.ensure_in_pipeline(app.id, &app.name, pipeline)?;
            if app.id == source || apps.iter().any(|(id, _)| *id == app.id) {
                return Err(ApiError::invalid_params(format!(
                    "The app {} cannot be a target: it is the source, or a target already.",
                    app.name
                )));
            }
            apps.push((app.id, app.name.clone()));
        }
        Ok(apps)
    }

    fn ensure_in_pipeline(&self, app: Uuid, name: &str, pipeline: Uuid) -> Result<(), ApiError> {
        let is_in = |coupling: &Coupling| coupling.pipeline == pipeline;
        if self.coupling(app).is_some_and(is_in) {
            return Ok(());
        }
        let message = format!("The app {name} is not in that pipeline.");
        Err(ApiError::invalid_params(message))
    }

    /// Ends a target of a promotion, and its release.
    fn finish_target(&mut self, promotion: Uuid, target: &PendingTarget, status: TargetStatus) {
        let is_success = status == TargetStatus::Succeeded;
        self.finish_release(target.app, target.release, is_success);
        let promotion = self.promotions.iter_mut().find(|of| of.id == promotion);
        if let Some(promotion) = promotion {
            promotion.updated_at = Timestamp::now();
            let mut targets = promotion.targets.iter_mut();
            if let Some(of) = targets.find(|of| of.app == target.app) {
                of.status = status;
            }
        }
    }

    /// Returns a promotion of an app that the token gives access to.
    fn authorized_promotion(&self, scope: &TokenScope, id: Uuid) -> Result<&Promotion, ApiError> {
        let promotion = self.promotions.iter().find(|promotion| promotion.id == id);
        let promotion = promotion.ok_or_else(|| ApiError::not_found("pipeline promotion"))?;
        self.authorized_app(scope, &promotion.source.to_string())?;
        Ok(promotion)
    }
}

impl Promotion {
    fn json(&self) -> Value {
        let is_pending = |target: &PromotionTarget| target.status == TargetStatus::Pending;
        let status = match self.targets.iter().any(is_pending) {
            true => "pending",
            false => "completed",
        };
        json!({
            "created_at": format_timestamp(self.created_at),
            "id": self.id,
            "pipeline": {"id": self.pipeline},
            "source": {"app": {"id": self.source}, "release": {"id": self.release}},
            "status": status,
            "updated_at": format_timestamp(self.updated_at),
        })
    }

    fn target_json(&self, target: &PromotionTarget) -> Value {
        let (status, error) = match &target.status {
            TargetStatus::Pending => ("pending", None),
            TargetStatus::Succeeded => ("succeeded", None),
            TargetStatus::Failed(message) => ("failed", Some(message)),
        };
        json!({
            "app": {"id": target.app},
            "error_message": error,
            "id": target.id,
            "pipeline_promotion": {"id": self.id},
            "release": target.release.map(|id| json!({"id": id})),
            "status": status,
        })
    }
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/pipeline-promotions", post(create))
        .route("/pipeline-promotions/{promotion}", get(info))
        .route(
            "/pipeline-promotions/{promotion}/promotion-targets",
            get(targets),
        )
}

async fn create(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request: PromotionRequest = serde_json::from_slice(&body).map_err(|_| {
        ApiError::bad_request(
            "The body must be {\"pipeline\":{\"id\":…},\"source\":{\"app\":{\"id\":…}},\
             \"targets\":[{\"app\":{\"id\":…}}]}.",
        )
    })?;
    let has_release_phase = state.deployer().is_some();
    let mut account = state.account();
    let (id, pending) = account.create_promotion(&scope, &request, has_release_phase)?;
    let promotion = account.authorized_promotion(&scope, id)?.json();
    drop(account);
    // A task of its own: the client asks for the outcome later, and may never do so.
    tokio::spawn(promote(state, id, pending));
    Ok((StatusCode::CREATED, json_body(&promotion)).into_response())
}

/// Deploys to one target after the other. One that fails does not keep the others from succeeding.
async fn promote(state: AppState, promotion: Uuid, targets: Vec<PendingTarget>) {
    // Two promotions to one app end in the order in which they began.
    let _guard = state.lock_promotions().await;
    for target in targets {
        let deployment = target.deployment.clone();
        let status = match state.deployer() {
            None => TargetStatus::Succeeded,
            Some(deployer) => {
                let deployed = tokio::spawn(async move { deployer.deploy(&deployment).await });
                match deployed.await {
                    Ok(Ok(())) => TargetStatus::Succeeded,
                    Ok(Err(error)) => {
                        tracing::warn!(error = ?error, "a promotion failed");
                        TargetStatus::Failed(error.to_string())
                    }
                    Err(error) => {
                        tracing::error!(%error, "a promotion panicked");
                        TargetStatus::Failed("Internal server error.".to_owned())
                    }
                }
            }
        };
        let mut account = state.account();
        account.finish_target(promotion, &target, status);
    }
}

async fn info(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(promotion): Path<Uuid>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let promotion = account.authorized_promotion(&scope, promotion)?;
    Ok(json_body(&promotion.json()))
}

async fn targets(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(promotion): Path<Uuid>,
    page: Page,
) -> Result<Response, ApiError> {
    let account = state.account();
    let promotion = account.authorized_promotion(&scope, promotion)?;
    let targets = promotion.targets.iter();
    let targets = targets
        .map(|target| promotion.target_json(target))
        .collect();
    page.respond(targets, &["id"])
}

/// Returns the beginning of a slug's id, as descriptions of releases have it.
pub(super) fn short(slug: Uuid) -> String {
    slug.simple().to_string().chars().take(8).collect()
}
