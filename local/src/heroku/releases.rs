//! Releases: `/apps/{app}/releases`. Every change of an app's config vars makes one.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api_error::{ApiError, json_body};
use super::apps::App;
use super::config_vars::ConfigVars;
use super::range::Page;
use super::shared::Shared;
use super::state::{Cloud, stamp};
use super::tokens::Reach;

/// A release. It keeps the config vars as they were, so it has no `Debug`.
pub(super) struct Release {
    id: Uuid,
    version: u64,
    description: String,
    config: ConfigVars,
    plans: Vec<&'static str>,
    pub(super) created_at: Timestamp,
}

impl Cloud {
    /// Makes the next release of an app, with its config vars as they are now.
    pub(super) fn release(&mut self, app: Uuid, description: String) {
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
            "created_at": stamp(release.created_at),
            "current": newest == Some(release.id),
            "description": release.description,
            // A rollback needs a slug.
            "eligible_for_rollback": false,
            "id": release.id,
            "output_stream_url": null,
            "slug": null,
            // Without a release phase a release succeeds at once.
            "status": "succeeded",
            "updated_at": stamp(release.created_at),
            "user": self.account.identity(),
            "version": release.version,
        })
    }
}

impl App {
    fn release(&self, asked: &str) -> Result<&Release, ApiError> {
        let version: Option<u64> = asked.parse().ok();
        let id = Uuid::try_parse(asked).ok();
        self.releases
            .iter()
            .find(|release| Some(release.version) == version || Some(release.id) == id)
            .ok_or_else(|| ApiError::not_found("release"))
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/apps/{app}/releases", get(list))
        .route("/apps/{app}/releases/{release}", get(info))
        .route("/apps/{app}/releases/{release}/config-vars", get(config))
}

async fn list(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(app): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let app = cloud.reached_app(&reach, &app)?;
    let releases = app
        .releases
        .iter()
        .map(|release| cloud.release_json(app, release))
        .collect();
    page.of(releases, &["version", "id"])
}

async fn info(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path((app, release)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let app = cloud.reached_app(&reach, &app)?;
    let release = app.release(&release)?;
    Ok(json_body(&cloud.release_json(app, release)))
}

/// The config vars as they were in a release.
async fn config(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path((app, release)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let app = cloud.reached_app(&reach, &app)?;
    Ok(json_body(&app.release(&release)?.config.json()))
}
