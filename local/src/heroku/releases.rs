//! Releases: `/apps/{app}/releases`. Every change of an app's config vars creates one.

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
use super::records::{App, Release};
use super::tokens::TokenScope;

impl Account {
    /// Creates the next release of an app, with its current config vars.
    pub(super) fn create_release(&mut self, app: Uuid, description: String) {
        let plan = self.catalog.plan.name;
        let addons = self.addons.iter().filter(|addon| addon.app == app);
        let plans = addons.map(|_| plan).collect();
        if let Some(app) = self.app_mut(app) {
            app.releases.push(Release {
                id: Uuid::new_v4(),
                version: app.releases.last().map_or(1, |last| last.version + 1),
                description,
                config: app.config.clone(),
                plans,
                created_at: Timestamp::now(),
            });
        }
    }

    fn release_json(&self, app: &App, release: &Release) -> Value {
        let newest = app.releases.last().map(|last| last.id);
        json!({
            "addon_plan_names": release.plans,
            "app": app.identity(),
            "artifacts": [],
            "created_at": format_timestamp(release.created_at),
            "current": newest == Some(release.id),
            "description": release.description,
            // A rollback needs a slug, which these releases do not have.
            "eligible_for_rollback": false,
            "id": release.id,
            "output_stream_url": null,
            "slug": null,
            // A release without a release phase succeeds at once.
            "status": "succeeded",
            "updated_at": format_timestamp(release.created_at),
            "user": self.user.identity(),
            "version": release.version,
        })
    }
}

impl App {
    fn find_release(&self, version_or_id: &str) -> Result<&Release, ApiError> {
        let version: Option<u64> = version_or_id.parse().ok();
        let id = Uuid::try_parse(version_or_id).ok();
        self.releases
            .iter()
            .find(|release| Some(release.version) == version || Some(release.id) == id)
            .ok_or_else(|| ApiError::not_found("release"))
    }
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/apps/{app}/releases", get(list))
        .route("/apps/{app}/releases/{release}", get(info))
        .route("/apps/{app}/releases/{release}/config-vars", get(config))
}

async fn list(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(app): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    let account = state.account();
    let app = account.authorized_app(&scope, &app)?;
    let releases = app
        .releases
        .iter()
        .map(|release| account.release_json(app, release))
        .collect();
    page.respond(releases, &["version", "id"])
}

async fn info(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path((app, release)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let app = account.authorized_app(&scope, &app)?;
    let release = app.find_release(&release)?;
    Ok(json_body(&account.release_json(app, release)))
}

/// Responds with the config vars of a release.
async fn config(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path((app, release)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let app = account.authorized_app(&scope, &app)?;
    Ok(json_body(&app.find_release(&release)?.config.json()))
}
