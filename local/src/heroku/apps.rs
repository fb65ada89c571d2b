//! Apps: `/apps`, `/users/~/apps`, `/filters/apps`, and the routes that `apps:info` uses.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{Account, format_timestamp, is_valid_name, matches_id_or_name};
use super::api_error::{ApiError, json_body};
use super::app_state::AppState;
use super::range::Page;
use super::records::{App, ConfigVars};
use super::tokens::TokenScope;
use crate::{Error, ErrorKind};

impl Account {
    /// Creates an app with its first release.
    pub(super) fn create_app(&mut self, name: &str) -> Result<Uuid, Error> {
        if !is_valid_name(name, 3..=30) || name.ends_with('-') {
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
                format!("could not create the app {name}: the name is taken"),
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
        self.create_release(id, "Initial release".to_owned());
        Ok(id)
    }

    /// Deletes an app with its coupling and its add-ons.
    pub(super) fn delete_app(&mut self, app: &str) -> Result<(), Error> {
        let id = self.find_app_id(app, "delete the app")?;
        self.apps.retain(|app| app.id != id);
        self.couplings.retain(|coupling| coupling.app != id);
        self.addons.retain(|addon| addon.app != id);
        self.attachments.retain(|attachment| attachment.app != id);
        self.detach_app_from_review_app(id);
        Ok(())
    }

    /// Returns the app with this id or name.
    pub(super) fn app(&self, id_or_name: &str) -> Option<&App> {
        self.apps
            .iter()
            .find(|app| matches_id_or_name(app.id, &app.name, id_or_name))
    }

    /// Returns the id of an app. The error reads "could not `action`".
    pub(super) fn find_app_id(&self, id_or_name: &str, action: &str) -> Result<Uuid, Error> {
        self.app(id_or_name).map(|app| app.id).ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                format!("could not {action}: there is no app {id_or_name}"),
            )
        })
    }

    pub(super) fn app_mut(&mut self, id: Uuid) -> Option<&mut App> {
        self.apps.iter_mut().find(|app| app.id == id)
    }

    /// Returns the app that a request names, if its token gives access to it.
    ///
    /// # Errors
    ///
    /// 404 if there is no such app, 403 if the token gives no access to it.
    pub(super) fn authorized_app(
        &self,
        scope: &TokenScope,
        id_or_name: &str,
    ) -> Result<&App, ApiError> {
        let app = self
            .app(id_or_name)
            .ok_or_else(|| ApiError::not_found("app"))?;
        if scope.includes(app.id) {
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
            // Not in the published schema. Without it `apps:info` shows "undefined".
            "create_status": "complete",
            "created_at": format_timestamp(app.created_at),
            "generation": self.catalog.generation.json(),
            "git_url": format!("https://git.heroku.com/{}.git", app.name),
            "id": app.id,
            "internal_routing": null,
            "maintenance": false,
            "name": app.name,
            "organization": null,
            "owner": self.user.identity(),
            "region": self.catalog.region.json(),
            "released_at": format_timestamp(changed_at),
            "repo_size": null,
            "slug_size": null,
            "space": null,
            "stack": self.catalog.stack.json(),
            "team": null,
            "updated_at": format_timestamp(changed_at),
            // No dyno serves this app.
            "web_url": null,
        })
    }

    /// Returns the JSON of the apps that the token gives access to and `wanted` selects.
    fn authorized_apps_json(
        &self,
        scope: &TokenScope,
        wanted: impl Fn(&App) -> bool,
    ) -> Vec<Value> {
        self.apps
            .iter()
            .filter(|app| scope.includes(app.id) && wanted(app))
            .map(|app| self.app_json(app))
            .collect()
    }
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/apps", get(list))
        .route("/apps/{app}", get(info))
        .route("/apps/{app}/collaborators", get(collaborators))
        .route("/apps/{app}/dynos", get(dynos))
        .route("/users/{user}/apps", get(list_of_user))
        .route("/filters/apps", post(filter))
}

async fn list(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    page: Page,
) -> Result<Response, ApiError> {
    page.respond(
        state.account().authorized_apps_json(&scope, |_| true),
        FIELDS,
    )
}

async fn list_of_user(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(user): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    let account = state.account();
    if !account.user.matches(&user) {
        return Err(ApiError::not_found("user"));
    }
    page.respond(account.authorized_apps_json(&scope, |_| true), FIELDS)
}

async fn info(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(app): Path<String>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let app = account.authorized_app(&scope, &app)?;
    Ok(json_body(&account.app_json(app)))
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

/// Lists the apps with the ids in the body. Unknown ids and those outside the token's scope are
/// omitted.
async fn filter(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    page: Page,
    body: Bytes,
) -> Result<Response, ApiError> {
    let filter: Filter = serde_json::from_slice(&body)
        .map_err(|_| ApiError::bad_request("The body must be {\"in\":{\"id\":[…]}}."))?;
    let mut apps = state
        .account()
        .authorized_apps_json(&scope, |app| filter.within.id.contains(&app.id));
    // By the schema this route returns a team's view of an app, with other fields.
    for app in apps.iter_mut().filter_map(Value::as_object_mut) {
        for field in ["acm", "create_status", "generation", "organization"] {
            app.remove(field);
        }
        app.insert("joined".to_owned(), json!(false));
        app.insert("locked".to_owned(), json!(false));
    }
    page.respond(apps, FIELDS)
}

/// Lists the owner, the only collaborator that an app has here.
async fn collaborators(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(app): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    let account = state.account();
    let app = account.authorized_app(&scope, &app)?;
    let mut user = account.user.identity();
    user["federated"] = json!(false);
    let owner = json!({
        "app": app.identity(),
        "created_at": format_timestamp(app.created_at),
        "id": app.id,
        "permissions": [],
        "role": "owner",
        "updated_at": format_timestamp(app.created_at),
        "user": user,
    });
    page.respond(vec![owner], &["id"])
}

/// Lists no dynos: the stand-in runs no app.
async fn dynos(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(app): Path<String>,
    page: Page,
) -> Result<Response, ApiError> {
    state.account().authorized_app(&scope, &app)?;
    page.respond(Vec::new(), &["id"])
}

/// The fields of a range over apps. The schema has `updated_at`, too, but in whole seconds it is
/// not unique, so that pages would lose apps.
const FIELDS: &[&str] = &["id", "name"];
