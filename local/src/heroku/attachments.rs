//! Attachments: what gives an app the URL of an add-on as a config var.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::addons::lists;
use super::api_error::{ApiError, json_body};
use super::range::Page;
use super::shared::Shared;
use super::state::{Cloud, is, stamp};
use super::tokens::Reach;

/// Gives an app the URL of an add-on, as the config var `<name>_URL`.
pub(super) struct Attachment {
    id: Uuid,
    pub(super) name: String,
    pub(super) app: Uuid,
    pub(super) addon: Uuid,
    created_at: Timestamp,
}

impl Attachment {
    pub(super) fn new(name: String, app: Uuid, addon: Uuid) -> Self {
        Self {
            id: Uuid::new_v4(),
            name,
            app,
            addon,
            created_at: Timestamp::now(),
        }
    }

    pub(super) fn config_var(&self) -> String {
        format!("{}_URL", self.name)
    }
}

impl Cloud {
    /// What the next database of an app is attached as: the first one as `DATABASE`, any
    /// further one as `HEROKU_POSTGRESQL_<COLOR>`, until the colors run out.
    pub(super) fn next_attachment_name(&self, app: Uuid) -> Option<String> {
        let is_free = |name: &String| {
            !self
                .attachments
                .iter()
                .any(|attachment| attachment.app == app && attachment.name == *name)
        };
        ["DATABASE".to_owned()]
            .into_iter()
            .chain(COLORS.map(|color| format!("HEROKU_POSTGRESQL_{color}")))
            .find(is_free)
    }

    /// The config vars of an app that its attachments own.
    pub(super) fn attached_vars(&self, app: Uuid) -> Vec<String> {
        self.attachments
            .iter()
            .filter(|attachment| attachment.app == app)
            .map(Attachment::config_var)
            .collect()
    }

    fn attachment_json(&self, attachment: &Attachment, include: Include) -> Value {
        let mut addon = json!({"id": attachment.addon});
        if let Some(of) = self.addons.iter().find(|of| of.id == attachment.addon) {
            addon["name"] = json!(of.name);
            addon["app"] = self.app_identity(of.app);
        }
        if include.plan {
            addon["plan"] = self.plan_json(false);
        }
        let mut json = json!({
            "addon": addon,
            "app": self.app_identity(attachment.app),
            "created_at": stamp(attachment.created_at),
            "id": attachment.id,
            "log_input_url": null,
            "name": attachment.name,
            // The default credential, the only one that this plan has.
            "namespace": null,
            "updated_at": stamp(attachment.created_at),
            "web_url": null,
        });
        if include.config_vars {
            json["config_vars"] = json!([attachment.config_var()]);
        }
        json
    }

    fn attachments_json(
        &self,
        include: Include,
        wanted: impl Fn(&Attachment) -> bool,
    ) -> Vec<Value> {
        self.attachments
            .iter()
            .filter(|attachment| wanted(attachment))
            .map(|attachment| self.attachment_json(attachment, include))
            .collect()
    }
}

/// What `Accept-Inclusion` asks for: fields that attachments do not have by default.
#[derive(Clone, Copy)]
struct Include {
    plan: bool,
    config_vars: bool,
}

impl Include {
    fn of(headers: &HeaderMap) -> Self {
        Self {
            plan: lists(headers, "accept-inclusion", "addon:plan"),
            config_vars: lists(headers, "accept-inclusion", "config_vars"),
        }
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/addon-attachments", get(list))
        .route("/apps/{app}/addon-attachments", get(list_of_app))
        .route("/addons/{addon}/addon-attachments", get(list_of_addon))
        .route("/actions/addon-attachments/resolve", post(resolve))
}

async fn list(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    headers: HeaderMap,
    page: Page,
) -> Result<Response, ApiError> {
    let attachments = shared
        .cloud()
        .attachments_json(Include::of(&headers), |attachment| {
            reach.covers(attachment.app)
        });
    page.of(attachments, FIELDS)
}

async fn list_of_app(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(app): Path<String>,
    headers: HeaderMap,
    page: Page,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let id = cloud.reached_app(&reach, &app)?.id;
    let attachments = cloud.attachments_json(Include::of(&headers), |of| of.app == id);
    page.of(attachments, FIELDS)
}

async fn list_of_addon(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(addon): Path<String>,
    headers: HeaderMap,
    page: Page,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let id = cloud.reached_addon(&reach, &addon)?.id;
    let attachments = cloud.attachments_json(Include::of(&headers), |of| of.addon == id);
    page.of(attachments, FIELDS)
}

#[derive(Deserialize)]
struct Resolve {
    addon_attachment: String,
    app: Option<String>,
    addon_service: Option<String>,
}

/// The attachments that an id, a name, a config var or the name of an add-on means.
async fn resolve(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let asked: Resolve = serde_json::from_slice(&body)
        .map_err(|_| ApiError::bad_request("The body must be {\"addon_attachment\":\"…\"}."))?;
    let cloud = shared.cloud();
    let app = match &asked.app {
        Some(app) => Some(cloud.reached_app(&reach, app)?.id),
        None => None,
    };
    let service = cloud.catalog.addon_service.name;
    let wanted = |attachment: &Attachment| {
        let name = asked.addon_attachment.as_str();
        reach.covers(attachment.app)
            && app.is_none_or(|app| app == attachment.app)
            && asked.addon_service.as_ref().is_none_or(|of| of == service)
            && (is(attachment.id, &attachment.name, name)
                || attachment.config_var() == name
                || cloud
                    .addons
                    .iter()
                    .any(|addon| addon.id == attachment.addon && is(addon.id, &addon.name, name)))
    };
    let found = cloud.attachments_json(Include::of(&headers), wanted);
    if found.is_empty() {
        return Err(ApiError::not_found("add_on attachment"));
    }
    Ok(json_body(&Value::Array(found)))
}

/// What a range may name; names are not unique, as every app has its `DATABASE`.
const FIELDS: &[&str] = &["id"];

const COLORS: [&str; 8] = [
    "AMBER", "BLUE", "CYAN", "GREEN", "OLIVE", "PINK", "PURPLE", "TEAL",
];
