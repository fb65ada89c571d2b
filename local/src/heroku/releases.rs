//! Releases: `/apps/{app}/releases`. Every change of an app's config vars or slug creates one.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{Account, format_timestamp};
use super::api_error::{ApiError, json_body};
use super::app_state::AppState;
use super::promotions::short;
use super::range::Page;
use super::records::{App, Release, ReleaseStatus};
use super::release_output::ReleaseOutput;
use super::tokens::TokenScope;
use crate::Error;

impl Account {
    /// Creates the next release of an app, with its current config vars and slug. It succeeds at
    /// once.
    pub(super) fn create_release(&mut self, app: Uuid, description: String) {
        self.push_release(app, description, |_| ());
    }

    /// Creates the next release of an app, with another slug, as a deploy does. It succeeds at once.
    pub(super) fn create_slug_release(&mut self, app: &str, slug: Uuid) -> Result<Uuid, Error> {
        let app = self.find_app_id(app, "deploy to the app")?;
        let description = format!("Deploy {}", short(slug));
        Ok(self.push_release(app, description, |release| release.slug = Some(slug)))
    }

    /// Creates the next release of an app, with another slug, which waits for its release phase.
    pub(super) fn create_pending_release(
        &mut self,
        app: Uuid,
        slug: Uuid,
        description: String,
        output: Option<ReleaseOutput>,
    ) -> Uuid {
        self.push_release(app, description, |release| {
            release.slug = Some(slug);
            release.status = ReleaseStatus::Pending;
            release.output = output;
        })
    }

    /// Ends the release phase of a release.
    pub(super) fn finish_release(&mut self, app: Uuid, release: Uuid, is_success: bool) {
        let Some(app) = self.app_mut(app) else {
            return;
        };
        let Some(number) = app.releases.iter().position(|of| of.id == release) else {
            return;
        };
        let (finished, slug) = {
            let release = &mut app.releases[number];
            release.updated_at = Timestamp::now();
            release.status = match is_success {
                true => ReleaseStatus::Succeeded,
                false => ReleaseStatus::Failed,
            };
            (release.output.clone(), release.slug)
        };
        if is_success {
            // A config var that changed meanwhile made a release with the old slug.
            for later in app.releases.iter_mut().skip(number + 1) {
                if later.status == ReleaseStatus::Succeeded {
                    later.slug = slug;
                }
            }
        }
        if let Some(output) = finished {
            output.finish();
        }
    }

    fn push_release(
        &mut self,
        app: Uuid,
        description: String,
        change: impl FnOnce(&mut Release),
    ) -> Uuid {
        let plan = self.catalog.plan.name;
        let addons = self.addons.iter().filter(|addon| addon.app == app);
        let plans = addons.map(|_| plan).collect();
        let (id, now) = (Uuid::new_v4(), Timestamp::now());
        if let Some(app) = self.app_mut(app) {
            let mut release = Release {
                id,
                version: app.releases.last().map_or(1, |last| last.version + 1),
                description,
                config: app.config.clone(),
                plans,
                slug: app.current_release().and_then(|current| current.slug),
                // A release without a release phase succeeds at once.
                status: ReleaseStatus::Succeeded,
                output: None,
                created_at: now,
                updated_at: now,
            };
            change(&mut release);
            app.releases.push(release);
        }
        id
    }

    fn release_json(&self, app: &App, release: &Release, base_url: &str) -> Value {
        let current = app.current_release().map(|current| current.id);
        let slug = release.slug.map(|id| json!({"id": id}));
        let artifacts = release.slug.map(|id| json!({"type": "slug", "id": id}));
        let stream = release.output.as_ref().map(ReleaseOutput::id);
        json!({
            "addon_plan_names": release.plans,
            "app": app.identity(),
            "artifacts": Vec::from_iter(artifacts),
            "created_at": format_timestamp(release.created_at),
            "current": current == Some(release.id),
            "description": release.description,
            // This stand-in has no rollback.
            "eligible_for_rollback": false,
            "id": release.id,
            "output_stream_url": stream.map(|id| format!("{base_url}/streams/{id}")),
            "slug": slug,
            "status": release.status.as_str(),
            "updated_at": format_timestamp(release.updated_at),
            "user": self.user.identity(),
            "version": release.version,
        })
    }
}

impl App {
    /// Returns the release that runs: the newest one that succeeded.
    pub(super) fn current_release(&self) -> Option<&Release> {
        let mut newest = self.releases.iter().rev();
        newest.find(|release| release.status == ReleaseStatus::Succeeded)
    }

    pub(super) fn find_release(&self, version_or_id: &str) -> Result<&Release, ApiError> {
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
        .route("/streams/{stream}", get(stream))
}

async fn list(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(app): Path<String>,
    headers: HeaderMap,
    page: Page,
) -> Result<Response, ApiError> {
    let account = state.account();
    let app = account.authorized_app(&scope, &app)?;
    let base_url = base_url(&headers);
    let releases = app
        .releases
        .iter()
        .map(|release| account.release_json(app, release, &base_url))
        .collect();
    page.respond(releases, &["version", "id"])
}

async fn info(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path((app, release)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let account = state.account();
    let app = account.authorized_app(&scope, &app)?;
    let release = app.find_release(&release)?;
    let json = account.release_json(app, release, &base_url(&headers));
    Ok(json_body(&json))
}

/// Returns the URL of this server, as the client reaches it.
fn base_url(headers: &HeaderMap) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("127.0.0.1"))
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

/// Responds with the output of a release phase. Heroku has a host of its own for it,
/// release-output.heroku.com, which serves anyone who knows the id.
async fn stream(
    State(state): State<AppState>,
    Path(stream): Path<Uuid>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let releases = account.apps.iter().flat_map(|app| &app.releases);
    let output = releases
        .filter_map(|release| release.output.as_ref())
        .find(|output| output.id() == stream)
        .ok_or_else(|| ApiError::not_found("stream"))?;
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((text, output.body()).into_response())
}
