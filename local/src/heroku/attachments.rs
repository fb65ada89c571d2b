//! Attachments, which give an app the URL of an add-on as a config var.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{Account, format_timestamp, matches_id_or_name};
use super::api_error::{ApiError, json_body};
use super::app_state::AppState;
use super::headers::header_lists;
use super::range::Page;
use super::records::Attachment;
use super::tokens::TokenScope;

impl Account {
    /// Returns the name for the next database of an app: `DATABASE` for the first, then
    /// `HEROKU_POSTGRESQL_<COLOR>` until the colors run out.
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

    /// Returns the names of an app's config vars that belong to attachments.
    pub(super) fn attached_vars(&self, app: Uuid) -> Vec<String> {
        self.attachments
            .iter()
            .filter(|attachment| attachment.app == app)
            .map(Attachment::config_var)
            .collect()
    }

    fn attachment_json(&self, attachment: &Attachment, inclusion: Inclusion) -> Value {
        let mut addon = json!({"id": attachment.addon});
        if let Some(stored) = self.addons.iter().find(|it| it.id == attachment.addon) {
            addon["name"] = json!(stored.name);
            addon["app"] = self.app_identity(stored.app);
        }
        if inclusion.plan {
            addon["plan"] = self.plan_json(false);
        }
        let mut json = json!({
            "addon": addon,
            "app": self.app_identity(attachment.app),
            "created_at": format_timestamp(attachment.created_at),
            "id": attachment.id,
            "log_input_url": null,
            "name": attachment.name,
            // `null` is the default credential, the only one of this plan.
            "namespace": null,
            "updated_at": format_timestamp(attachment.created_at),
            "web_url": null,
        });
        if inclusion.config_vars {
            json["config_vars"] = json!([attachment.config_var()]);
        }
        json
    }

    fn attachments_json(
        &self,
        inclusion: Inclusion,
        wanted: impl Fn(&Attachment) -> bool,
    ) -> Vec<Value> {
        self.attachments
            .iter()
            .filter(|attachment| wanted(attachment))
            .map(|attachment| self.attachment_json(attachment, inclusion))
            .collect()
    }
}

/// The fields that `Accept-Inclusion` asks for and that attachments do not have by default.
#[derive(Clone, Copy)]
struct Inclusion {
    plan: bool,
    config_vars: bool,
}

impl Inclusion {
    fn from_headers(headers: &HeaderMap) -> Self {
        Self {
            plan: header_lists(headers, "accept-inclusion", "addon:plan"),
            config_vars: header_lists(headers, "accept-inclusion", "config_vars"),
        }
    }
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/addon-attachments", get(list))
        .route("/apps/{app}/addon-attachments", get(list_of_app))
        .route("/addons/{addon}/addon-attachments", get(list_of_addon))
        .route("/actions/addon-attachments/resolve", post(resolve))
}

async fn list(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    headers: HeaderMap,
    page: Page,
) -> Result<Response, ApiError> {
    let attachments = state
        .account()
        .attachments_json(Inclusion::from_headers(&headers), |attachment| {
            scope.includes(attachment.app)
        });
    page.respond(attachments, FIELDS)
}

async fn list_of_app(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(app): Path<String>,
    headers: HeaderMap,
    page: Page,
) -> Result<Response, ApiError> {
    let account = state.account();
    let id = account.authorized_app(&scope, &app)?.id;
    let attachments = account.attachments_json(Inclusion::from_headers(&headers), |attachment| {
        attachment.app == id
    });
    page.respond(attachments, FIELDS)
}

async fn list_of_addon(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(addon): Path<String>,
    headers: HeaderMap,
    page: Page,
) -> Result<Response, ApiError> {
    let account = state.account();
    let id = account.authorized_addon(&scope, &addon)?.id;
    let attachments = account.attachments_json(Inclusion::from_headers(&headers), |attachment| {
        attachment.addon == id
    });
    page.respond(attachments, FIELDS)
}

#[derive(Deserialize)]
struct ResolveRequest {
    addon_attachment: String,
    app: Option<String>,
    addon_service: Option<String>,
}

/// Lists the attachments with this id, name, config var or add-on name.
async fn resolve(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let query: ResolveRequest = serde_json::from_slice(&body)
        .map_err(|_| ApiError::bad_request("The body must be {\"addon_attachment\":\"…\"}."))?;
    let account = state.account();
    let app = match &query.app {
        Some(app) => Some(account.authorized_app(&scope, app)?.id),
        None => None,
    };
    let service = account.catalog.addon_service.name;
    let wanted = |attachment: &Attachment| {
        let name = query.addon_attachment.as_str();
        scope.includes(attachment.app)
            && app.is_none_or(|app| app == attachment.app)
            && query
                .addon_service
                .as_ref()
                .is_none_or(|wanted| wanted == service)
            && (matches_id_or_name(attachment.id, &attachment.name, name)
                || attachment.config_var() == name
                || account.addons.iter().any(|addon| {
                    addon.id == attachment.addon && matches_id_or_name(addon.id, &addon.name, name)
                }))
    };
    let found = account.attachments_json(Inclusion::from_headers(&headers), wanted);
    if found.is_empty() {
        return Err(ApiError::not_found("add_on attachment"));
    }
    Ok(json_body(&Value::Array(found)))
}

/// The fields of a range over attachments. Names are not unique: each app has its `DATABASE`.
const FIELDS: &[&str] = &["id"];

const COLORS: [&str; 8] = [
    "AMBER", "BLUE", "CYAN", "GREEN", "OLIVE", "PINK", "PURPLE", "TEAL",
];
