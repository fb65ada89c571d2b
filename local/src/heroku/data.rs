//! The data API (api.data.heroku.com): what `pg:info`, `pg:credentials` and `pg:wait` ask
//! about a database, and the rotation of its password. Heroku publishes no contract for
//! it; the shapes are those that the CLI reads (heroku 11.10.0, 2026-11).

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::addons::Addon;
use super::api_error::{ApiError, json_body};
use super::database_owner::LiveFacts;
use super::shared::Shared;
use super::tokens::Reach;

impl LiveFacts {
    /// The lines in the order in which Heroku has them.
    fn lines(self, addon: &Addon) -> Vec<(&'static str, String)> {
        let created = addon.created_at.strftime("%Y-%m-%d %H:%M").to_string();
        [
            ("Plan", Some("Essential 0".to_owned())),
            ("Status", self.status),
            (
                "Connections",
                self.connections
                    .map(|(open, most)| format!("{open}/{most}")),
            ),
            ("PG Version", self.version),
            ("Created", Some(created)),
            ("Data Size", self.size_bytes.map(megabytes)),
            ("Tables", self.tables.map(|tables| tables.to_string())),
            // True of every database of this plan.
            ("Fork/Follow", Some("Unsupported".to_owned())),
            ("Rollback", Some("Unsupported".to_owned())),
            ("Continuous Protection", Some("Off".to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

pub(super) fn routes() -> Router<Shared> {
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
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(database): Path<String>,
) -> Result<Response, ApiError> {
    let url = {
        let cloud = shared.cloud();
        cloud.reached_addon(&reach, &database)?.url.clone()
    };
    let live = match shared.owner() {
        Some(owner) => owner.facts(url.secret()).await,
        None => LiveFacts::default(),
    };
    let cloud = shared.cloud();
    let addon = cloud.reached_addon(&reach, &database)?;
    let size_bytes = live.size_bytes;
    let lines: Vec<_> = live
        .lines(addon)
        .into_iter()
        .map(|(name, value)| json!({"name": name, "values": [value]}))
        .collect();
    let mut body = json!({
        "addon_id": addon.id,
        "available_for_ingress": true,
        "created_at": super::state::stamp(addon.created_at),
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
        "resource_url": addon.url.secret(),
        "target_transaction": null,
        "waiting?": false,
    });
    if let Some(bytes) = size_bytes {
        body["num_bytes"] = json!(bytes);
    }
    Ok(json_body(&body))
}

/// Never to be waited for: a database is attached when it runs.
async fn wait(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(database): Path<String>,
) -> Result<Response, ApiError> {
    shared.cloud().reached_addon(&reach, &database)?;
    let ready = json!({"message": "available", "waiting?": false});
    Ok(json_body(&ready))
}

async fn credentials(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(database): Path<String>,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let addon = cloud.reached_addon(&reach, &database)?;
    Ok(json_body(&json!([default_credential(addon)])))
}

async fn credential(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path((database, credential)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let addon = cloud.reached_addon(&reach, &database)?;
    if credential != DEFAULT {
        return Err(ApiError::not_found("credential"));
    }
    Ok(json_body(&default_credential(addon)))
}

/// The body of a rotation. `forced` cuts the connections of a named credential at once,
/// too; those of the default one are always cut at once, so here it changes nothing.
#[derive(Deserialize)]
struct Rotation {
    #[serde(rename = "forced")]
    _forced: Option<bool>,
}

async fn rotate(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path((database, credential)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let id = shared.cloud().reached_addon(&reach, &database)?.id;
    if credential != DEFAULT {
        return Err(ApiError::not_found("credential"));
    }
    rotate_default(shared, id, &body).await
}

/// All credentials of a database: of this plan, one.
async fn rotate_all(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(database): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let id = shared.cloud().reached_addon(&reach, &database)?.id;
    rotate_default(shared, id, &body).await
}

async fn rotate_default(shared: Shared, addon: Uuid, body: &[u8]) -> Result<Response, ApiError> {
    serde_json::from_slice::<Rotation>(body)
        .map_err(|_| ApiError::bad_request("The body must be {} or {\"forced\":true}."))?;
    let owner = shared.owner().ok_or_else(ApiError::no_database_owner)?;
    // A task of its own: a client that goes away must not stop it between the change of
    // the password and that of the config var.
    let rotation = tokio::spawn(async move {
        // One after the other, so that the last password is the one that is told.
        let _rotation = shared.rotation().await;
        let id = addon.to_string();
        let url = shared
            .cloud()
            .reached_addon(&Reach::All, &id)?
            .url
            .secret()
            .to_owned();
        let rotated = owner.rotate(&url).await.and_then(|url| {
            let mut cloud = shared.cloud();
            cloud.set_database_url(&id, &url)
        });
        rotated.map_err(|error| {
            tracing::warn!(error = ?error, "a rotation failed");
            ApiError::failed(&error)
        })
    });
    rotation.await.map_err(|error| {
        tracing::error!(%error, "a rotation came to no end");
        ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    })??;
    // The CLI reads nothing of it.
    Ok(json_body(&json!({})))
}

/// The only credential that a database of this plan has.
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

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1024 * 1024))
}

const DEFAULT: &str = "default";
