//! The one account, its one user, and the tokens of the latter.

use axum::extract::{Query, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::shared::Shared;
use crate::api::bearer_token;

/// The account in paths.
pub(super) const SLUG: &str = "local";

/// Lets a request pass that has a token.
pub(super) async fn authenticated(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let known =
        bearer_token(request.headers()).is_some_and(|token| shared.state().knows_token(token));
    if known {
        next.run(request).await
    } else {
        Refusal::unauthorized().into_response()
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/accounts", get(accounts))
        .route("/user", get(user))
}

/// What the CLI asks beside the API, at `api.netlifysdk.com`: there are no extensions.
pub(super) fn extensions() -> Router<Shared> {
    let none = || get(async || Json(json!([])));
    Router::new()
        .route("/site/{site}/integrations/safe", none())
        .route(
            "/team/{account}/integrations/installations/meta/{site}",
            none(),
        )
        .route("/meta/auto-installable", none())
}

#[derive(Deserialize)]
struct Asked {
    minimal: Option<bool>,
}

async fn accounts(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Json<Value> {
    let state = shared.state();
    let mut account = json!({
        "id": state.id,
        "name": "Local",
        "slug": SLUG,
        "type_name": if state.scopes_available { "Pro" } else { "Free" },
    });
    if asked.minimal != Some(true) {
        account["capabilities"] = json!({"sites": {"used": state.sites.len()}});
        account["owner_ids"] = json!([state.id]);
    }
    Json(json!([account]))
}

/// The user has the account's id, and an address under a domain that is reserved.
async fn user(State(shared): State<Shared>) -> Json<Value> {
    let state = shared.state();
    Json(json!({
        "id": state.id,
        "email": "local@stagelink.example",
        "full_name": "Local account",
        "site_count": state.sites.len(),
    }))
}
