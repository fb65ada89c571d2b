//! The account: `/account`, `/users/~`, its rate limit, and the teams it has none of.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Instant;
use uuid::Uuid;

use super::api_error::{ApiError, json_body};
use super::range::Page;
use super::shared::Shared;
use super::state::stamp;

/// The one user of the stand-in.
pub(super) struct Account {
    pub(super) id: Uuid,
    created_at: Timestamp,
}

impl Account {
    /// An address under a domain that is reserved and so belongs to nobody.
    pub(super) const EMAIL: &'static str = "local@stagelink.example";

    pub(super) fn new() -> Self {
        Self {
            id: Uuid::new_v4(),
            created_at: Timestamp::now(),
        }
    }

    /// The account as the owner or author of something.
    pub(super) fn identity(&self) -> Value {
        json!({"id": self.id, "email": Self::EMAIL})
    }

    fn json(&self) -> Value {
        let created_at = stamp(self.created_at);
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

    /// Whether `~`, an id or an address means this account.
    pub(super) fn is(&self, user: &str) -> bool {
        user == "~" || super::state::is(self.id, Self::EMAIL, user)
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/account", get(info))
        .route("/account/rate-limits", get(rate_limit))
        .route("/users/{user}", get(user))
        .route("/teams", get(teams))
        .route("/teams/{team}", get(team))
}

async fn info(State(shared): State<Shared>) -> Response {
    json_body(&shared.cloud().account.json())
}

async fn user(
    State(shared): State<Shared>,
    Path(user): Path<String>,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    if !cloud.account.is(&user) {
        return Err(ApiError::not_found("user"));
    }
    Ok(json_body(&cloud.account.json()))
}

async fn rate_limit(State(shared): State<Shared>) -> Response {
    let remaining = shared.rate_limit().remaining(Instant::now());
    json_body(&json!({"remaining": remaining}))
}

async fn teams(page: Page) -> Result<Response, ApiError> {
    page.of(Vec::new(), &["id"])
}

async fn team() -> ApiError {
    ApiError::not_found("team")
}
