//! The routes of the account and its user, and the check of tokens.

use axum::extract::{Query, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::SLUG;
use super::api_error::ApiError;
use super::app_state::AppState;
use crate::api::bearer_token;

/// Refuses a request without a valid token, and one beyond the limit of its token.
pub(super) async fn authenticate(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let quota = {
        let mut account = state.account();
        match bearer_token(request.headers()).filter(|token| account.has_token(token)) {
            Some(token) => account.requests.count(token, Timestamp::now()),
            None => return ApiError::unauthorized().into_response(),
        }
    };
    let Some(quota) = quota else {
        return next.run(request).await;
    };
    let mut response = match quota.is_allowed {
        true => next.run(request).await,
        false => ApiError::too_many().into_response(),
    };
    quota.add_to(response.headers_mut());
    response
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/accounts", get(accounts))
        .route("/user", get(user))
}

/// Returns the routes of `api.netlifysdk.com`, which the CLI calls, too. They list no extensions.
pub(super) fn extensions() -> Router<AppState> {
    let empty_list = || get(async || Json(json!([])));
    Router::new()
        .route("/site/{site}/integrations/safe", empty_list())
        .route(
            "/team/{account}/integrations/installations/meta/{site}",
            empty_list(),
        )
        .route("/meta/auto-installable", empty_list())
}

#[derive(Deserialize)]
struct AccountsQuery {
    minimal: Option<bool>,
}

async fn accounts(
    State(state): State<AppState>,
    Query(query): Query<AccountsQuery>,
) -> Json<Value> {
    let account = state.account();
    let mut json = json!({
        "id": account.id,
        "name": "Local",
        "slug": SLUG,
        "type_name": if account.scopes_available { "Pro" } else { "Free" },
    });
    if query.minimal != Some(true) {
        json["capabilities"] = json!({"sites": {"used": account.sites.len()}});
        json["owner_ids"] = json!([account.id]);
    }
    Json(json!([json]))
}

/// Returns the user. It has the account's id and an e-mail address in a reserved domain.
async fn user(State(state): State<AppState>) -> Json<Value> {
    let account = state.account();
    Json(json!({
        "id": account.id,
        "email": "local@stagelink.example",
        "full_name": "Local account",
        "site_count": account.sites.len(),
    }))
}
