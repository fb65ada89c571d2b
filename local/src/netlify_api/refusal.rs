//! The answers with a status of failure: `{"code","message"}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

/// One answer that refuses.
///
/// The open-api has one form for all of them. Which status and words Netlify has for which
/// mistake is not verified, save 401 and 404 (2026-11).
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Access Denied")
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    /// A body or a parameter that cannot be read.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Something that is there already.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// A body that says what cannot be.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub(super) fn missing_route() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "the local netlify does not have this route",
        )
    }

    /// The words, for an owner who is refused the same.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // `env:set` of the CLI reads `msg`.
        let body = json!({
            "code": self.status.as_u16(),
            "message": self.message,
            "msg": self.message,
        });
        (self.status, Json(body)).into_response()
    }
}

/// The answer to any request with this status, for a fault.
pub(super) fn of_status(status: StatusCode) -> Response {
    let message = status.canonical_reason().unwrap_or("Error");
    Refusal::new(status, message).into_response()
}

/// The body, or a refusal that holds nothing of it.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|_| Refusal::bad_request("the body is not the JSON that this route takes"))
}
