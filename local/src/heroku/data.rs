//! The data API (api.data.heroku.com): what `pg:info`, `pg:credentials` and `pg:wait` ask
//! about a database. Heroku publishes no contract for it; the shapes are those that the
//! CLI reads (heroku 11.10.0, 2026-11).

use std::future::Future;
use std::pin::Pin;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Value, json};

use super::addons::Addon;
use super::api_error::{ApiError, json_body};
use super::shared::Shared;
use super::tokens::Reach;

/// Tells what only the running database knows, for `pg:info`.
///
/// Without one, and for every fact that is `None`, the line is left out.
pub trait DatabaseFacts: Send + Sync {
    /// The facts about the database with this URL, which holds its password. It is
    /// asked anew each time, and the answer waits for it.
    fn facts<'a>(&'a self, url: &'a str) -> Pin<Box<dyn Future<Output = LiveFacts> + Send + 'a>>;
}

/// What is known about a running database at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveFacts {
    /// The state in Heroku's words, such as `Available`.
    pub status: Option<String>,
    /// The open connections and how many there may be.
    pub connections: Option<(u32, u32)>,
    /// The version of Postgres, such as `17.6`.
    pub version: Option<String>,
    /// The size of the database in bytes.
    pub size_bytes: Option<u64>,
    /// How many tables it has.
    pub tables: Option<u64>,
}

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
    let live = match shared.facts() {
        Some(facts) => facts.facts(url.secret()).await,
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
