//! Apps: `/apps`, `/users/~/apps`, `/filters/apps`, and what `apps:info` asks of an app.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api_error::{ApiError, json_body};
use super::config_vars::ConfigVars;
use super::range::Page;
use super::releases::Release;
use super::shared::Shared;
use super::state::{Cloud, is, is_name, stamp};
use super::tokens::Reach;
use crate::{Error, ErrorKind};

/// An app. Its config vars and releases hold secrets, so it has no `Debug`.
pub(super) struct App {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) config: ConfigVars,
    /// By version, oldest first; never empty.
    pub(super) releases: Vec<Release>,
    created_at: Timestamp,
}

impl Cloud {
    /// Makes an app with its first release.
    pub(super) fn create_app(&mut self, name: &str) -> Result<Uuid, Error> {
        if !is_name(name, 3..=30) || name.ends_with('-') {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not create the app {name:?}: a name has 3 to 30 characters of \
                     a-z, 0-9 and -, begins with a letter and does not end with -"
                ),
            ));
        }
        if self.app(name).is_some() {
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not create the app {name}: there is one of that name"),
            ));
        }
        let id = Uuid::new_v4();
        self.apps.push(App {
            id,
            name: name.to_owned(),
            config: ConfigVars::default(),
            releases: Vec::new(),
            created_at: Timestamp::now(),
        });
        self.release(id, "Initial release".to_owned());
        Ok(id)
    }

    /// Removes an app with its coupling and its add-ons.
    pub(super) fn delete_app(&mut self, app: &str) -> Result<(), Error> {
        let id = self.existing_app(app, "delete it")?;
        self.apps.retain(|app| app.id != id);
        self.couplings.retain(|coupling| coupling.app != id);
        self.addons.retain(|addon| addon.app != id);
        self.attachments.retain(|attachment| attachment.app != id);
        self.forget_app_of_review_app(id);
        Ok(())
    }

    /// The app with this id or name.
    pub(super) fn app(&self, asked: &str) -> Option<&App> {
        self.apps.iter().find(|app| is(app.id, &app.name, asked))
    }

    /// The app with this id or name for the owner of the stand-in; `purpose` is
    /// what could not be done without it.
    pub(super) fn existing_app(&self, asked: &str, purpose: &str) -> Result<Uuid, Error> {
        self.app(asked).map(|app| app.id).ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                format!("there is no app {asked}, so it is not possible to {purpose}"),
            )
        })
    }

    pub(super) fn app_mut(&mut self, id: Uuid) -> Option<&mut App> {
        self.apps.iter_mut().find(|app| app.id == id)
    }

    /// The app that a request names, when its token reaches it.
    ///
    /// # Errors
    ///
    /// 404 without such an app, 403 where the token does not reach it.
    pub(super) fn reached_app(&self, reach: &Reach, asked: &str) -> Result<&App, ApiError> {
        let app = self.app(asked).ok_or_else(|| ApiError::not_found("app"))?;
        if reach.covers(app.id) {
            Ok(app)
        } else {
            Err(ApiError::forbidden(&app.name))
        }
    }

    fn app_json(&self, app: &App) -> Value {
        let changed_at = app
            .releases
            .last()
            .map_or(app.created_at, |release| release.created_at);
        json!({
            "acm": false,
            "archived_at": null,
            "build_stack": self.catalog.stack.json(),
            "buildpack_provided_description": null,
            // Not in the published schema; without it `apps:info` shows it as undefined.
            "create_status": "complete",
            "created_at": stamp(app.created_at),
            "generation": self.catalog.generation.json(),
            "git_url": format!("https://git.heroku.com/{}.git", app.name),
            "id": app.id,
            "internal_routing": null,
            "maintenance": false,
            "name": app.name,
            "organization": null,
            "owner": self.account.identity(),
            "region": self.catalog.region.json(),
            "released_at": stamp(changed_at),
            "repo_size": null,
            "slug_size": null,
            "space": null,
            "stack": self.catalog.stack.json(),
            "team": null,
            "updated_at": stamp(changed_at),
            // No dyno serves this app, here or at herokuapp.com.
            "web_url": null,
        })
    }

    /// The apps that a token reaches and `wanted` picks.
    fn reached_apps(&self, reach: &Reach, wanted: impl Fn(&App) -> bool) -> Vec<Value> {
        self.apps
            .iter()
            .filter(|app| reach.covers(app.id) && wanted(app))
            .map(|app| self.app_json(app))
            .collect()
    }
}

impl App {
    /// The app as other resources refer to it.
    pub(super) fn identity(&self) -> Value {
        json!({"id": self.id, "name": self.name})
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/apps", get(list))
        .route("/apps/{app}", get(info))
        .route("/apps/{app}/collaborators", get(collaborators))
        .route("/apps/{app}/dynos", get(dynos))
        .route("/users/{user}/apps", get(list_of_user))
        .route("/filters/apps", post(filter))
}

async fn list(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    page: Page,
) -> Result<Response, ApiError> {
    page.of(shared.cloud().reached_apps(&reach, |_| true), FIELDS)
}

async fn list_of_user(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(user): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    if !cloud.account.is(&user) {
        return Err(ApiError::not_found("user"));
    }
    page.of(cloud.reached_apps(&reach, |_| true), FIELDS)
}

async fn info(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(app): Path<String>,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let app = cloud.reached_app(&reach, &app)?;
    Ok(json_body(&cloud.app_json(app)))
}

#[derive(Deserialize)]
struct Filter {
    #[serde(rename = "in")]
    within: Within,
}

#[derive(Deserialize)]
struct Within {
    id: Vec<Uuid>,
}

/// The apps with the ids in the body. Ids that are unknown or out of reach are left out.
async fn filter(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    page: Page,
    body: Bytes,
) -> Result<Response, ApiError> {
    let filter: Filter = serde_json::from_slice(&body)
        .map_err(|_| ApiError::bad_request("The body must be {\"in\":{\"id\":[…]}}."))?;
    let mut apps = shared
        .cloud()
        .reached_apps(&reach, |app| filter.within.id.contains(&app.id));
    // The schema has a team's view of an app here, with other fields than elsewhere.
    for app in apps.iter_mut().filter_map(Value::as_object_mut) {
        for field in ["acm", "create_status", "generation", "organization"] {
            app.remove(field);
        }
        app.insert("joined".to_owned(), json!(false));
        app.insert("locked".to_owned(), json!(false));
    }
    page.of(apps, FIELDS)
}

/// The owner alone: nobody else can be given an app here.
async fn collaborators(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(app): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let app = cloud.reached_app(&reach, &app)?;
    let mut user = cloud.account.identity();
    user["federated"] = json!(false);
    let owner = json!({
        "app": app.identity(),
        "created_at": stamp(app.created_at),
        "id": app.id,
        "permissions": [],
        "role": "owner",
        "updated_at": stamp(app.created_at),
        "user": user,
    });
    page.of(vec![owner], &["id"])
}

/// None: nothing runs on the stand-in.
async fn dynos(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(app): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    shared.cloud().reached_app(&reach, &app)?;
    page.of(Vec::new(), &["id"])
}

/// What a range over apps may name. The schema has `updated_at` too; to the second it is
/// not unique, so that pages over it would lose apps.
const FIELDS: &[&str] = &["id", "name"];
