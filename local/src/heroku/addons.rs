//! Heroku Postgres add-ons: the databases of the apps.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{Account, format_timestamp, matches_id_or_name};
use super::api_error::{ApiError, json_body};
use super::app_state::AppState;
use super::headers::header_lists;
use super::range::Page;
use super::records::{Addon, App, Attachment};
use super::tokens::TokenScope;
use crate::api::DatabaseUrl;
use crate::{Error, ErrorKind};

impl Account {
    /// Attaches a database to an app and returns the add-on's name. The first database is attached
    /// as `DATABASE`, further ones as `HEROKU_POSTGRESQL_<COLOR>`.
    pub(super) fn attach_postgres(&mut self, app: &str, url: &str) -> Result<String, Error> {
        // This is first, so that swapped arguments do not put the URL into an error.
        let url = DatabaseUrl::parse(url)?;
        let app = self.find_app_id(app, "attach a database")?;
        let name = self.next_attachment_name(app).ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                "could not attach a database: the app has the maximum number of databases",
            )
        })?;
        let addon = Addon {
            id: Uuid::new_v4(),
            name: self.new_addon_name(),
            app,
            url,
            credential: Uuid::new_v4(),
            created_at: Timestamp::now(),
        };
        let attachment = Attachment::new(name, app, addon.id);
        let var = attachment.config_var();
        if let Some(app) = self.app_mut(app) {
            if app.config.0.contains_key(&var) {
                return Err(Error::new(
                    ErrorKind::Input,
                    format!(
                        "could not attach a database to the app {}: it already has a config var \
                         {var}; unset that first",
                        app.name
                    ),
                ));
            }
            app.config
                .0
                .insert(var, addon.url.expose_secret().to_owned());
        }
        let addon_name = addon.name.clone();
        let description = format!("Attach {} (@{addon_name})", attachment.name);
        self.addons.push(addon);
        self.attachments.push(attachment);
        self.create_release(app, description);
        Ok(addon_name)
    }

    /// Changes the URL of a database, as a rotation or a failover does. The config vars of its
    /// attachments change, each with a release.
    pub(super) fn set_database_url(&mut self, addon: &str, url: &str) -> Result<(), Error> {
        let url = DatabaseUrl::parse(url)?;
        let addon = self
            .addons
            .iter_mut()
            .find(|stored| matches_id_or_name(stored.id, &stored.name, addon))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Input,
                    format!("could not change the url of a database: there is no add-on {addon}"),
                )
            })?;
        addon.url = url.clone();
        let id = addon.id;
        let attachments: Vec<_> = self
            .attachments
            .iter()
            .filter(|attachment| attachment.addon == id)
            .map(|attachment| {
                (
                    attachment.app,
                    attachment.name.clone(),
                    attachment.config_var(),
                )
            })
            .collect();
        for (app, name, var) in attachments {
            if let Some(app) = self.app_mut(app) {
                app.config.0.insert(var, url.expose_secret().to_owned());
            }
            let service = self.catalog.addon_service.name;
            self.create_release(app, format!("Update {name} by {service}"));
        }
        Ok(())
    }

    /// Returns the add-on with this id or name, if the token gives access to its app.
    pub(super) fn authorized_addon(
        &self,
        scope: &TokenScope,
        id_or_name: &str,
    ) -> Result<&Addon, ApiError> {
        let addon = self
            .addons
            .iter()
            .find(|addon| matches_id_or_name(addon.id, &addon.name, id_or_name))
            .ok_or_else(|| ApiError::not_found("add-on"))?;
        self.authorized_app(scope, &addon.app.to_string())?;
        Ok(addon)
    }

    /// Creates a name in Heroku's format: the service's stem, a word, five digits.
    fn new_addon_name(&self) -> String {
        loop {
            let random = Uuid::new_v4();
            let word = WORDS[usize::from(random.as_bytes()[0]) % WORDS.len()];
            let random = random.as_u128();
            let name = format!("postgresql-{word}-{}", 10_000 + random % 90_000);
            if !self.addons.iter().any(|addon| addon.name == name) {
                return name;
            }
        }
    }

    pub(super) fn app_identity(&self, id: Uuid) -> Value {
        self.apps
            .iter()
            .find(|app| app.id == id)
            .map_or(Value::Null, App::identity)
    }

    fn addon_json(&self, addon: &Addon, expansion: Expansion) -> Value {
        let app = self.app_identity(addon.app);
        let vars: Vec<_> = self
            .attachments
            .iter()
            .filter(|attachment| attachment.addon == addon.id)
            .map(Attachment::config_var)
            .collect();
        let mut billing_entity = app.clone();
        billing_entity["type"] = json!("app");
        json!({
            "actions": [],
            "addon_service": self.addon_service_json(expansion.service),
            "app": app,
            "billed_price": {"cents": 0, "contract": false, "unit": "month"},
            "billing_entity": billing_entity,
            "config_vars": vars,
            "created_at": format_timestamp(addon.created_at),
            "id": addon.id,
            "name": addon.name,
            "plan": self.plan_json(expansion.plan),
            "provider_id": addon.id,
            "state": "provisioned",
            "updated_at": format_timestamp(addon.created_at),
            "web_url": null,
        })
    }

    fn addon_service_json(&self, expanded: bool) -> Value {
        let mut service = self.catalog.addon_service.json();
        if expanded {
            service["cli_plugin_name"] = Value::Null;
            service["human_name"] = json!("Heroku Postgres");
            service["state"] = json!("ga");
            service["supports_multiple_installations"] = json!(true);
            service["supports_sharing"] = json!(true);
        }
        service
    }

    pub(super) fn plan_json(&self, expanded: bool) -> Value {
        let mut plan = self.catalog.plan.json();
        if expanded {
            plan["addon_service"] = self.catalog.addon_service.json();
            plan["description"] = json!("Heroku Postgres Essential 0");
            plan["human_name"] = json!("Essential 0");
            // Heroku's list price (2026-04-08). The stand-in bills nothing.
            plan["price"] = json!({"cents": 500, "contract": false, "unit": "month"});
            plan["visible"] = json!(true);
        }
        plan
    }

    fn addons_json(&self, expansion: Expansion, wanted: impl Fn(&Addon) -> bool) -> Vec<Value> {
        self.addons
            .iter()
            .filter(|addon| wanted(addon))
            .map(|addon| self.addon_json(addon, expansion))
            .collect()
    }
}

/// The objects that `Accept-Expansion` asks for in full, instead of as id and name.
#[derive(Clone, Copy)]
struct Expansion {
    service: bool,
    plan: bool,
}

impl Expansion {
    fn from_headers(headers: &HeaderMap) -> Self {
        Self {
            service: header_lists(headers, "accept-expansion", "addon_service"),
            plan: header_lists(headers, "accept-expansion", "plan"),
        }
    }
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/addons", get(list))
        .route("/addons/{addon}", get(info))
        .route("/apps/{app}/addons", get(list_of_app))
}

async fn list(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    headers: HeaderMap,
    page: Page,
) -> Result<Response, ApiError> {
    let addons = state
        .account()
        .addons_json(Expansion::from_headers(&headers), |addon| {
            scope.includes(addon.app)
        });
    page.respond(addons, FIELDS)
}

async fn info(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(addon): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let account = state.account();
    let addon = account.authorized_addon(&scope, &addon)?;
    Ok(json_body(
        &account.addon_json(addon, Expansion::from_headers(&headers)),
    ))
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
    let addons = account.addons_json(Expansion::from_headers(&headers), |addon| addon.app == id);
    page.respond(addons, FIELDS)
}

const FIELDS: &[&str] = &["id", "name"];

const WORDS: [&str; 8] = [
    "angular", "clean", "deep", "flat", "round", "shaped", "solid", "tapered",
];
