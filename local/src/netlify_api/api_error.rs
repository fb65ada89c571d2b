//! The error responses: `{"code","message"}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

/// An error response.
///
/// The open-api has one schema for all of them. Netlify's statuses and messages are not verified,
/// except 401 and 404 (2026-11).
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
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

    /// Error for a body or parameter that cannot be parsed.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Error for a resource that already exists.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// Error for a well-formed body with invalid values.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// Error for a request or deploy beyond a limit per minute.
    pub(super) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests")
    }

    pub(super) fn not_implemented() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "the local netlify does not implement this route",
        )
    }

    /// Text of the error, for the same error of a method of [`NetlifyApi`](super::NetlifyApi).
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // The CLI's `env:set` reads `msg`.
        let body = json!({
            "code": self.status.as_u16(),
            "message": self.message,
            "msg": self.message,
        });
        (self.status, Json(body)).into_response()
    }
}

/// Returns the error response with the status of an injected fault.
pub(super) fn from_status(status: StatusCode) -> Response {
    let message = status.canonical_reason().unwrap_or("Error");
    ApiError::new(status, message).into_response()
}

/// Parses a JSON body. The error contains nothing of the body.
pub(super) fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|_| ApiError::bad_request("the body is not the JSON that this route expects"))
}
