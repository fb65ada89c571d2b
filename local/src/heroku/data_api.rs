//! The data API (api.data.heroku.com): the routes of `pg:info`, `pg:credentials` and `pg:wait`, and
//! the rotation of a password. Heroku publishes no schema for it; the fields are those that the CLI
//! reads (heroku 11.10.0, 2026-11).

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::format_timestamp;
use super::api_error::{ApiError, json_body};
use super::app_state::AppState;
use super::database_owner::DatabaseFacts;
use super::records::Addon;
use super::tokens::TokenScope;

impl DatabaseFacts {
    /// Returns the lines of `pg:info` in Heroku's order.
    fn lines(self, addon: &Addon) -> Vec<(&'static str, String)> {
        let created = addon.created_at.strftime("%Y-%m-%d %H:%M").to_string();
        [
            ("Plan", Some("Essential 0".to_owned())),
            ("Status", self.status),
            (
                "Connections",
                self.connections
                    .map(|(open, limit)| format!("{open}/{limit}")),
            ),
            ("PG Version", self.version),
            ("Created", Some(created)),
            ("Data Size", self.size_bytes.map(format_megabytes)),
            ("Tables", self.tables.map(|tables| tables.to_string())),
            // These hold for every database of this plan.
            ("Fork/Follow", Some("Unsupported".to_owned())),
            ("Rollback", Some("Unsupported".to_owned())),
            ("Continuous Protection", Some("Off".to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/client/v11/databases/{database}", get(info))
        .route("/client/v11/databases/{database}/wait_status", get(wait))
        .route(
            "/postgres/v0/databases/{database}/credentials",
            get(credentials),
        )
        .route(
            "/postgres/v0/databases/{database}/credentials/{credential}",
            get(credential),
        )
        .route(
            "/postgres/v0/databases/{database}/credentials/{credential}/credentials_rotation",
            post(rotate),
        )
        .route(
            "/postgres/v0/databases/{database}/credentials_rotation",
            post(rotate_all),
        )
}

async fn info(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(database): Path<String>,
) -> Result<Response, ApiError> {
    let url = {
        let account = state.account();
        account.authorized_addon(&scope, &database)?.url.clone()
    };
    let live = match state.owner() {
        Some(owner) => owner.facts(url.expose_secret()).await,
        None => DatabaseFacts::default(),
    };
    let account = state.account();
    let addon = account.authorized_addon(&scope, &database)?;
    let size_bytes = live.size_bytes;
    let lines: Vec<_> = live
        .lines(addon)
        .into_iter()
        .map(|(name, value)| json!({"name": name, "values": [value]}))
        .collect();
    let mut body = json!({
        "addon_id": addon.id,
        "available_for_ingress": true,
        "created_at": format_timestamp(addon.created_at),
        "credentials": 1,
        "database_name": addon.url.database,
        "database_password": addon.url.password,
        "database_user": addon.url.user,
        "heroku_resource_id": addon.id,
        "info": lines,
        "leader": null,
        "name": addon.name,
        "plan": "essential-0",
        "port": addon.url.port,
        "resource_url": addon.url.expose_secret(),
        "target_transaction": null,
        "waiting?": false,
    });
    if let Some(bytes) = size_bytes {
        body["num_bytes"] = json!(bytes);
    }
    Ok(json_body(&body))
}

/// Responds that the database is available: it runs before it is attached.
async fn wait(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(database): Path<String>,
) -> Result<Response, ApiError> {
    state.account().authorized_addon(&scope, &database)?;
    let ready = json!({"message": "available", "waiting?": false});
    Ok(json_body(&ready))
}

async fn credentials(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(database): Path<String>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let addon = account.authorized_addon(&scope, &database)?;
    Ok(json_body(&json!([default_credential(addon)])))
}

async fn credential(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path((database, credential)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let addon = account.authorized_addon(&scope, &database)?;
    if credential != DEFAULT {
        return Err(ApiError::not_found("credential"));
    }
    Ok(json_body(&default_credential(addon)))
}

/// The body of a rotation. `forced` closes the connections of a named credential at once. Those of
/// the default credential are always closed at once, so it has no effect here.
#[derive(Deserialize)]
struct RotationRequest {
    #[serde(rename = "forced")]
    _forced: Option<bool>,
}

async fn rotate(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path((database, credential)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let id = state.account().authorized_addon(&scope, &database)?.id;
    if credential != DEFAULT {
        return Err(ApiError::not_found("credential"));
    }
    rotate_default(state, id, &body).await
}

/// Rotates all credentials of a database; a database of this plan has one.
async fn rotate_all(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(database): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let id = state.account().authorized_addon(&scope, &database)?.id;
    rotate_default(state, id, &body).await
}

async fn rotate_default(state: AppState, addon: Uuid, body: &[u8]) -> Result<Response, ApiError> {
    serde_json::from_slice::<RotationRequest>(body)
        .map_err(|_| ApiError::bad_request("The body must be {} or {\"forced\":true}."))?;
    if state.owner().is_none() {
        return Err(ApiError::no_database_owner());
    }
    // A task of its own: a client that disconnects must not stop the rotation between the change
    // of the password and that of the config var.
    let rotation = tokio::spawn(async move {
        let rotated = state.rotate_credentials(&addon.to_string()).await;
        rotated.map_err(|error| {
            tracing::warn!(error = ?error, "a rotation of credentials failed");
            ApiError::internal(&error)
        })
    });
    rotation.await.map_err(|error| {
        tracing::error!(%error, "a rotation of credentials panicked");
        ApiError::from_status(StatusCode::INTERNAL_SERVER_ERROR)
    })??;
    // The CLI does not read the body.
    Ok(json_body(&json!({})))
}

/// Returns the JSON of the default credential, the only one of a database of this plan.
fn default_credential(addon: &Addon) -> Value {
    let url = &addon.url;
    json!({
        "credentials": [{"user": url.user, "password": url.password, "state": "active"}],
        "database": url.database,
        "host": url.host,
        "name": DEFAULT,
        "port": url.port,
        "state": "active",
        "uuid": addon.credential,
    })
}

fn format_megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1024 * 1024))
}

const DEFAULT: &str = "default";
