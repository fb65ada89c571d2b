//! The routes of environment variables.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::SLUG;
use super::context::Context;
use super::env_vars::{EnvScope, EnvVars, Written, WrittenValue};
use super::refusal::{Refusal, read};
use super::shared::{self, Shared};

pub(super) fn routes() -> Router<Shared> {
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
        // The open-api has the prefix twice in this one, and the CLI asks so.
        .route("/api/v1/sites/{site}/env", get(list_of_site))
}

/// Whose variables are meant, and which of them.
#[derive(Deserialize)]
struct Asked {
    site_id: Option<String>,
    context_name: Option<String>,
    scope: Option<String>,
}

impl Asked {
    /// The variables of the site that is named, or else those of the account.
    fn variables<'a>(
        &self,
        state: &'a mut shared::State,
        account: &str,
    ) -> Result<&'a mut EnvVars, Refusal> {
        if account != SLUG && account != state.id.to_string() {
            return Err(Refusal::not_found());
        }
        match &self.site_id {
            Some(site) => Ok(&mut state.site(site)?.variables),
            None => Ok(&mut state.variables),
        }
    }

    fn answer(&self, variables: &EnvVars) -> Result<Json<Value>, Refusal> {
        // A name that is no context is a branch's, as in the CLI.
        let near = self.context_name.as_deref().map(|name| {
            Context::parse(name, None)
                .unwrap_or_else(|| Context::Branch(name.to_owned()))
                .closest_first()
        });
        let scope = match self.scope.as_deref() {
            None | Some("any") => None,
            Some(name) => Some(
                EnvScope::parse(name)
                    .ok_or_else(|| Refusal::bad_request(format!("there is no scope {name:?}")))?,
            ),
        };
        let list: Vec<_> = variables
            .list()
            .iter()
            .filter(|of| scope.is_none_or(|scope| of.has_scope(scope)))
            .map(|of| of.json(|context| near.as_ref().is_none_or(|near| near.contains(context))))
            .collect();
        Ok(Json(json!(list)))
    }
}

async fn list(
    State(shared): State<Shared>,
    Path(account): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Refusal> {
    let mut state = shared.state();
    asked.answer(asked.variables(&mut state, &account)?)
}

async fn list_of_site(
    State(shared): State<Shared>,
    Path(site): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Refusal> {
    let mut state = shared.state();
    asked.answer(&state.site(&site)?.variables)
}

/// Makes all variables of the request, or none.
async fn create(
    State(shared): State<Shared>,
    Path(account): Path<String>,
    Query(asked): Query<Asked>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let written: Vec<Written> = read(&body)?;
    let mut state = shared.state();
    let scopes = state.scopes_available;
    let variables = asked.variables(&mut state, &account)?;
    let mut made = Vec::new();
    for mut written in written {
        let key = written.key.take().unwrap_or_default();
        let variable = written.variable(&key, None)?;
        variable.check(scopes)?;
        if variables.find(&key).is_some() {
            return Err(Refusal::conflict(format!("{key} is there already")));
        }
        made.push(variable);
    }
    let answer: Vec<_> = made.iter().map(|of| of.json(|_| true)).collect();
    made.into_iter().for_each(|of| variables.set(of));
    Ok((StatusCode::CREATED, Json(json!(answer))))
}

async fn info(
    State(shared): State<Shared>,
    Path((account, key)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Refusal> {
    let mut state = shared.state();
    let variables = asked.variables(&mut state, &account)?;
    let variable = variables.find(&key).ok_or_else(Refusal::not_found)?;
    Ok(Json(variable.json(|_| true)))
}

/// The variable and all its values, in place of what they were.
async fn replace(
    State(shared): State<Shared>,
    Path((account, key)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let written: Written = read(&body)?;
    let mut state = shared.state();
    let scopes = state.scopes_available;
    let variables = asked.variables(&mut state, &account)?;
    let before = variables.find(&key).ok_or_else(Refusal::not_found)?;
    let variable = written.variable(&key, Some(before))?;
    variable.check(scopes)?;
    *before = variable;
    Ok(Json(before.json(|_| true)))
}

/// One value more, or another one.
async fn set_value(
    State(shared): State<Shared>,
    Path((account, key)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let written: WrittenValue = read(&body)?;
    let mut state = shared.state();
    let scopes = state.scopes_available;
    let variables = asked.variables(&mut state, &account)?;
    let variable = variables.find(&key).ok_or_else(Refusal::not_found)?;
    let changed = variable.changed(written)?;
    changed.check(scopes)?;
    *variable = changed;
    Ok((StatusCode::CREATED, Json(variable.json(|_| true))))
}

async fn remove(
    State(shared): State<Shared>,
    Path((account, key)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<StatusCode, Refusal> {
    let mut state = shared.state();
    if asked.variables(&mut state, &account)?.remove(&key) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::not_found())
    }
}

async fn remove_value(
    State(shared): State<Shared>,
    Path((account, key, id)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
) -> Result<StatusCode, Refusal> {
    let mut state = shared.state();
    let variables = asked.variables(&mut state, &account)?;
    let variable = variables.find(&key).ok_or_else(Refusal::not_found)?;
    if variable.remove_value(&id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::not_found())
    }
}
