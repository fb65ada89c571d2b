//! Heroku Postgres add-ons: the databases of the apps.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api_error::{ApiError, json_body};
use super::apps::App;
use super::attachments::Attachment;
use super::range::Page;
use super::shared::Shared;
use super::state::{Cloud, is, stamp};
use super::tokens::Reach;
use crate::api::DatabaseUrl;
use crate::{Error, ErrorKind};

/// A Postgres database of the plan `heroku-postgresql:essential-0`.
pub(super) struct Addon {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// The app that it is billed to, which here is the only one it is attached to.
    pub(super) app: Uuid,
    pub(super) url: DatabaseUrl,
    /// Names the default credential in the data API.
    pub(super) credential: Uuid,
    pub(super) created_at: Timestamp,
}

impl Cloud {
    /// Gives an app a database and tells the add-on's name. The first one is attached as
    /// `DATABASE`, any further one as `HEROKU_POSTGRESQL_<COLOR>`.
    pub(super) fn attach_postgres(&mut self, app: &str, url: &str) -> Result<String, Error> {
        // First, so that two arguments in the wrong order do not put the URL into an error.
        let url = DatabaseUrl::parse(url)?;
        let app = self.existing_app(app, "attach a database to it")?;
        let name = self.next_attachment_name(app).ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                "could not attach a database: the app has as many as it can have",
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
                        "could not attach a database to the app {}: it has a config var \
                         {var} already; unset that first",
                        app.name
                    ),
                ));
            }
            app.config.0.insert(var, addon.url.secret().to_owned());
        }
        let addon_name = addon.name.clone();
        let description = format!("Attach {} (@{addon_name})", attachment.name);
        self.addons.push(addon);
        self.attachments.push(attachment);
        self.release(app, description);
        Ok(addon_name)
    }

    /// Gives a database another URL, as a rotation or a failover does: the config vars
    /// of its attachments change, with a release each.
    pub(super) fn set_database_url(&mut self, addon: &str, url: &str) -> Result<(), Error> {
        let url = DatabaseUrl::parse(url)?;
        let addon = self
            .addons
            .iter_mut()
            .find(|of| is(of.id, &of.name, addon))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Input,
                    format!("there is no add-on {addon}, so its url cannot be changed"),
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
                app.config.0.insert(var, url.secret().to_owned());
            }
            let service = self.catalog.addon_service.name;
            self.release(app, format!("Update {name} by {service}"));
        }
        Ok(())
    }

    /// The add-on with this id or name, when the token reaches its app.
    pub(super) fn reached_addon(&self, reach: &Reach, asked: &str) -> Result<&Addon, ApiError> {
        let addon = self
            .addons
            .iter()
            .find(|addon| is(addon.id, &addon.name, asked))
            .ok_or_else(|| ApiError::not_found("add-on"))?;
        self.reached_app(reach, &addon.app.to_string())?;
        Ok(addon)
    }

    /// A name in the manner of Heroku's: the service's stem, a word, five digits.
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

    fn addon_json(&self, addon: &Addon, expand: Expand) -> Value {
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
            "addon_service": self.addon_service_json(expand.service),
            "app": app,
            "billed_price": {"cents": 0, "contract": false, "unit": "month"},
            "billing_entity": billing_entity,
            "config_vars": vars,
            "created_at": stamp(addon.created_at),
            "id": addon.id,
            "name": addon.name,
            "plan": self.plan_json(expand.plan),
            "provider_id": addon.id,
            "state": "provisioned",
            "updated_at": stamp(addon.created_at),
            "web_url": null,
        })
    }

    fn addon_service_json(&self, whole: bool) -> Value {
        let mut service = self.catalog.addon_service.json();
        if whole {
            service["cli_plugin_name"] = Value::Null;
            service["human_name"] = json!("Heroku Postgres");
            service["state"] = json!("ga");
            service["supports_multiple_installations"] = json!(true);
            service["supports_sharing"] = json!(true);
        }
        service
    }

    pub(super) fn plan_json(&self, whole: bool) -> Value {
        let mut plan = self.catalog.plan.json();
        if whole {
            plan["addon_service"] = self.catalog.addon_service.json();
            plan["description"] = json!("Heroku Postgres Essential 0");
            plan["human_name"] = json!("Essential 0");
            // Heroku's list price (2026-04-08); the stand-in bills nothing.
            plan["price"] = json!({"cents": 500, "contract": false, "unit": "month"});
            plan["visible"] = json!(true);
        }
        plan
    }

    fn addons_json(&self, expand: Expand, wanted: impl Fn(&Addon) -> bool) -> Vec<Value> {
        self.addons
            .iter()
            .filter(|addon| wanted(addon))
            .map(|addon| self.addon_json(addon, expand))
            .collect()
    }
}

/// What `Accept-Expansion` asks for: whole objects in place of id and name.
#[derive(Clone, Copy)]
struct Expand {
    service: bool,
    plan: bool,
}

impl Expand {
    fn of(headers: &HeaderMap) -> Self {
        Self {
            service: lists(headers, "accept-expansion", "addon_service"),
            plan: lists(headers, "accept-expansion", "plan"),
        }
    }
}

/// Whether a header with names between commas has this one.
pub(super) fn lists(headers: &HeaderMap, header: &str, wanted: &str) -> bool {
    headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim() == wanted)
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/addons", get(list))
        .route("/addons/{addon}", get(info))
        .route("/apps/{app}/addons", get(list_of_app))
}

async fn list(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    headers: HeaderMap,
    page: Page,
) -> Result<Response, ApiError> {
    let addons = shared
        .cloud()
        .addons_json(Expand::of(&headers), |addon| reach.covers(addon.app));
    page.of(addons, FIELDS)
}

async fn info(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(addon): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let addon = cloud.reached_addon(&reach, &addon)?;
    Ok(json_body(&cloud.addon_json(addon, Expand::of(&headers))))
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
    let addons = cloud.addons_json(Expand::of(&headers), |addon| addon.app == id);
    page.of(addons, FIELDS)
}

const FIELDS: &[&str] = &["id", "name"];

const WORDS: [&str; 8] = [
    "angular", "clean", "deep", "flat", "round", "shaped", "solid", "tapered",
];
