//! The account's routes: `/account`, `/users/~`, the rate limit, and an empty list of teams.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use std::time::Instant;

use super::account::{format_timestamp, matches_id_or_name};
use super::api_error::{ApiError, json_body};
use super::app_state::AppState;
use super::range::Page;
use super::records::User;

impl User {
    fn json(&self) -> Value {
        let created_at = format_timestamp(self.created_at);
        json!({
            "allow_tracking": false,
            "beta": false,
            "country_of_residence": null,
            "created_at": created_at,
            "default_organization": null,
            "default_team": null,
            "delinquent_at": null,
            "email": Self::EMAIL,
            "federated": false,
            "id": self.id,
            "last_login": null,
            "name": "Local account",
            "sms_number": null,
            "suspended_at": null,
            "two_factor_authentication": false,
            "updated_at": created_at,
            "verified": true,
        })
    }

    /// Returns whether `~`, an id or an e-mail address means this user.
    pub(super) fn matches(&self, user: &str) -> bool {
        user == "~" || matches_id_or_name(self.id, Self::EMAIL, user)
    }
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/account", get(info))
        .route("/account/rate-limits", get(rate_limit))
        .route("/users/{user}", get(user))
        .route("/teams", get(teams))
        .route("/teams/{team}", get(team))
}

async fn info(State(state): State<AppState>) -> Response {
    json_body(&state.account().user.json())
}

async fn user(
    State(state): State<AppState>,
    Path(user): Path<String>,
) -> Result<Response, ApiError> {
    let account = state.account();
    if !account.user.matches(&user) {
        return Err(ApiError::not_found("user"));
    }
    Ok(json_body(&account.user.json()))
}

async fn rate_limit(State(state): State<AppState>) -> Response {
    let remaining = state.rate_limit().remaining(Instant::now());
    json_body(&json!({"remaining": remaining}))
}

async fn teams(page: Page) -> Result<Response, ApiError> {
    page.respond(Vec::new(), &["id"])
}

async fn team() -> ApiError {
    ApiError::not_found("team")
}
