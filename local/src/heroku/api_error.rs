//! The error responses of the Heroku Platform API: a status and a body `{"id","message"}`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error response, with Heroku's own message if it is known.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    id: &'static str,
    message: String,
    resource: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, id: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            id,
            message: message.into(),
            resource: None,
        }
    }

    /// Error for a body or parameter that cannot be parsed.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// Error for an invalid or revoked token.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// Error for an app that exists and that the token gives no access to.
    pub(super) fn forbidden(app: &str) -> Self {
        let message = format!("You do not have access to the app {app}.");
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// Error for a resource that does not exist. `resource` is its name in Heroku's messages.
    pub(super) fn not_found(resource: &'static str) -> Self {
        Self {
            resource: Some(resource),
            ..Self::new(
                StatusCode::NOT_FOUND,
                "not_found",
                format!("Couldn't find that {resource}."),
            )
        }
    }

    /// Error for a request without the version in `Accept`. Heroku's own response is not verified
    /// (2026-11).
    pub(super) fn not_acceptable() -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "not_acceptable",
            "The `Accept` header must name a version: `application/vnd.heroku+json; version=3`.",
        )
    }

    /// Error for a `Range` header that cannot be satisfied.
    pub(super) fn range(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "requested_range_not_satisfiable",
            message,
        )
    }

    /// Error for a well-formed body with invalid values.
    pub(super) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_params", message)
    }

    /// Error for an exhausted rate limit.
    pub(super) fn rate_limit() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit",
            "Your account reached the API rate limit\nPlease wait a few minutes before making new requests",
        )
    }

    /// Error for a route of Heroku's that this stand-in does not implement. Heroku never sends it;
    /// its message names the route that a client needs.
    pub(super) fn not_implemented(method: &str, path: &str) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "not_implemented",
            format!("The local Heroku API does not have {method} {path}."),
        )
    }

    /// Error for a rotation when no [`DatabaseOwner`](super::DatabaseOwner) is set.
    pub(super) fn no_database_owner() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "not_implemented",
            "The local Heroku API cannot rotate credentials here: no database owner is set.",
        )
    }

    /// Error for a failure of the stand-in. It has the text of the failure, which holds no secret
    /// and which the client, a person at this machine, can act on.
    pub(super) fn internal(error: &crate::Error) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_server_error",
            error.to_string(),
        )
    }

    /// Error with the status of an injected fault. The ids of 402, 409, 410 and 503 are not
    /// verified (2026-11).
    pub(super) fn from_status(status: StatusCode) -> Self {
        let (id, message) = match status.as_u16() {
            400 => ("bad_request", "Bad request."),
            401 => ("unauthorized", "Invalid credentials provided."),
            402 => ("delinquent", "There is a problem with your payment."),
            403 => ("forbidden", "You do not have access to this resource."),
            404 => ("not_found", "The requested resource was not found."),
            409 => ("conflict", "The request conflicts with another."),
            410 => ("gone", "The requested resource is gone."),
            422 => ("invalid_params", "The parameters are not valid."),
            429 => return Self::rate_limit(),
            503 => ("maintenance", "The API is temporarily unavailable."),
            500.. => ("internal_server_error", "Internal server error."),
            _ => ("error", "The request failed."),
        };
        Self::new(status, id, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"id": self.id, "message": self.message});
        if let Some(resource) = self.resource {
            body["resource"] = json!(resource);
        }
        let mut response = (self.status, json_body(&body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"Heroku\""),
            );
        }
        response
    }
}

/// Returns a JSON response with the content type that the CLI needs to parse the body.
pub(super) fn json_body(value: &serde_json::Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, value.to_string()).into_response()
}
