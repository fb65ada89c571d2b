//! The routes of environment variables.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{Account, SLUG};
use super::api_error::{ApiError, parse_body};
use super::app_state::AppState;
use super::context::Context;
use super::env_bodies::{EnvVarBody, ValueBody};
use super::env_vars::{EnvScope, EnvVars};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/accounts/{account}/env", get(list).post(create))
        .route(
            "/accounts/{account}/env/{key}",
            get(info).put(replace).patch(set_value).delete(remove),
        )
        .route(
            "/accounts/{account}/env/{key}/value/{id}",
            delete(remove_value),
        )
        .route("/sites/{site}/env", get(list_of_site))
        // In the open-api this path has the prefix twice, and the CLI requests it so.
        .route("/api/v1/sites/{site}/env", get(list_of_site))
}

/// Query parameters that select variables.
#[derive(Deserialize)]
struct EnvQuery {
    site_id: Option<String>,
    context_name: Option<String>,
    scope: Option<String>,
}

impl EnvQuery {
    /// Returns the variables of the site in the query, or those of the account without one.
    fn variables<'a>(
        &self,
        account: &'a mut Account,
        slug_or_id: &str,
    ) -> Result<&'a mut EnvVars, ApiError> {
        if slug_or_id != SLUG && slug_or_id != account.id.to_string() {
            return Err(ApiError::not_found());
        }
        match &self.site_id {
            Some(site) => Ok(&mut account.site(site)?.variables),
            None => Ok(&mut account.variables),
        }
    }

    /// Returns the variables and values that match the query.
    fn respond(&self, variables: &EnvVars) -> Result<Json<Value>, ApiError> {
        // As in the CLI, a name that is not a context is a branch.
        let contexts = self.context_name.as_deref().map(|name| {
            Context::parse(name, None)
                .unwrap_or_else(|| Context::Branch(name.to_owned()))
                .by_precedence()
        });
        let scope = match self.scope.as_deref() {
            None | Some("any") => None,
            Some(name) => Some(
                EnvScope::parse(name)
                    .ok_or_else(|| ApiError::bad_request(format!("there is no scope {name:?}")))?,
            ),
        };
        let list: Vec<_> = variables
            .list()
            .iter()
            .filter(|variable| scope.is_none_or(|scope| variable.has_scope(scope)))
            .map(|variable| {
                let is_selected =
                    |context: &Context| contexts.as_ref().is_none_or(|all| all.contains(context));
                variable.json(is_selected)
            })
            .collect();
        Ok(Json(json!(list)))
    }
}

async fn list(
    State(state): State<AppState>,
    Path(slug_or_id): Path<String>,
    Query(query): Query<EnvQuery>,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    query.respond(query.variables(&mut account, &slug_or_id)?)
}

async fn list_of_site(
    State(state): State<AppState>,
    Path(site): Path<String>,
    Query(query): Query<EnvQuery>,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    query.respond(&account.site(&site)?.variables)
}

/// Creates all variables of the request, or none.
async fn create(
    State(state): State<AppState>,
    Path(slug_or_id): Path<String>,
    Query(query): Query<EnvQuery>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let bodies: Vec<EnvVarBody> = parse_body(&body)?;
    let mut account = state.account();
    let scopes = account.scopes_available;
    let variables = query.variables(&mut account, &slug_or_id)?;
    let mut created = Vec::new();
    for mut body in bodies {
        let key = body.key.take().unwrap_or_default();
        let variable = body.into_variable(&key, None)?;
        variable.check(scopes)?;
        if variables.find(&key).is_some() {
            return Err(ApiError::conflict(format!("{key} already exists")));
        }
        created.push(variable);
    }
    let json: Vec<_> = created
        .iter()
        .map(|variable| variable.json(|_| true))
        .collect();
    for variable in created {
        variables.set(variable);
    }
    Ok((StatusCode::CREATED, Json(json!(json))))
}

async fn info(
    State(state): State<AppState>,
    Path((slug_or_id, key)): Path<(String, String)>,
    Query(query): Query<EnvQuery>,
) -> Result<Json<Value>, ApiError> {
    let mut account = state.account();
    let variables = query.variables(&mut account, &slug_or_id)?;
    let variable = variables.find(&key).ok_or_else(ApiError::not_found)?;
    Ok(Json(variable.json(|_| true)))
}

/// Replaces a variable with all its values.
async fn replace(
    State(state): State<AppState>,
    Path((slug_or_id, key)): Path<(String, String)>,
    Query(query): Query<EnvQuery>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let body: EnvVarBody = parse_body(&body)?;
    let mut account = state.account();
    let scopes = account.scopes_available;
    let variables = query.variables(&mut account, &slug_or_id)?;
    let current = variables.find(&key).ok_or_else(ApiError::not_found)?;
    let variable = body.into_variable(&key, Some(current))?;
    variable.check(scopes)?;
    *current = variable;
    Ok(Json(current.json(|_| true)))
}

/// Adds a value to a variable or changes it.
async fn set_value(
    State(state): State<AppState>,
    Path((slug_or_id, key)): Path<(String, String)>,
    Query(query): Query<EnvQuery>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let body: ValueBody = parse_body(&body)?;
    let mut account = state.account();
    let scopes = account.scopes_available;
    let variables = query.variables(&mut account, &slug_or_id)?;
    let variable = variables.find(&key).ok_or_else(ApiError::not_found)?;
    let (context, value) = body.parse()?;
    let changed = variable.clone().value(context, value);
    changed.check(scopes)?;
    *variable = changed;
    Ok((StatusCode::CREATED, Json(variable.json(|_| true))))
}

async fn remove(
    State(state): State<AppState>,
    Path((slug_or_id, key)): Path<(String, String)>,
    Query(query): Query<EnvQuery>,
) -> Result<StatusCode, ApiError> {
    let mut account = state.account();
    if query.variables(&mut account, &slug_or_id)?.remove(&key) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found())
    }
}

async fn remove_value(
    State(state): State<AppState>,
    Path((slug_or_id, key, id)): Path<(String, String, String)>,
    Query(query): Query<EnvQuery>,
) -> Result<StatusCode, ApiError> {
    let mut account = state.account();
    let variables = query.variables(&mut account, &slug_or_id)?;
    let variable = variables.find(&key).ok_or_else(ApiError::not_found)?;
    if variable.remove_value(&id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found())
    }
}
