//! Problem details: an error as a client of an HTTP API expects it (RFC 9457).

use std::future::Future;
use std::pin::Pin;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use lambda_http::{Body, IntoResponse};
use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// An error response with a body of type `application/problem+json`, as
/// [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) describes it.
///
/// ```
/// use http::StatusCode;
/// use stagelink::Problem;
///
/// let problem = Problem::new(StatusCode::BAD_REQUEST, "The field name is missing.");
/// assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
/// ```
///
/// From an [`Error`] it takes [`public_message`](Error::public_message) and
/// nothing else, so what the operator must know never reaches a client.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    headers: HeaderMap,
}

/// The members of the body. `type` is left out: it means `about:blank`, whose
/// title is that of the status.
#[derive(Serialize)]
struct Members<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// A problem with this status and an explanation that a client may read.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            headers: HeaderMap::new(),
        }
    }

    /// Adds a response header, such as `Allow` beside 405.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The finished response.
    pub fn to_response(&self) -> Response<Body> {
        let members = Members {
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let body = serde_json::to_string(&members).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let problem = Self::new(status_of(error.kind()), error.public_message());
        match error.retry_after() {
            Some(wait) => {
                problem.with_header(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
            }
            None => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(std::future::ready(self.to_response()))
    }
}

/// 503 where waiting may help, 504 for a time-out, 500 where somebody must act.
fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Settings
        | ErrorKind::Stage
        | ErrorKind::App
        | ErrorKind::DatabaseUrl
        | ErrorKind::ProviderRefused
        | ErrorKind::Insecure
        | ErrorKind::Query => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::ProviderBusy
        | ErrorKind::ProviderUnavailable
        | ErrorKind::DatabaseRefused
        | ErrorKind::DatabaseFull
        | ErrorKind::DatabaseMissing
        | ErrorKind::DatabaseUnreachable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::Phase;

    fn text(response: &Response<Body>) -> &str {
        match response.body() {
            Body::Text(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }

    #[test]
    fn problem_says_what_the_standard_asks_for() {
        let response = Problem::new(StatusCode::NOT_FOUND, "There is no such page.").to_response();
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            text(&response),
            r#"{"title":"Not Found","status":404,"detail":"There is no such page."}"#
        );
    }

    #[test]
    fn error_reaches_the_client_as_its_public_message_only() {
        let error = Error::new(ErrorKind::App, "app shop-c4n4ry has no DATABASE_URL");
        let response = Problem::from(&error).to_response();
        assert_eq!(response.status(), 500);
        assert!(!text(&response).contains("c4n4ry"));
    }

    #[test]
    fn retry_after_is_passed_on_in_whole_seconds() {
        let error = Error::busy("rate limit", Some(Duration::from_millis(300)));
        let response = Problem::from(&error).to_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
    }

    #[test]
    fn time_out_is_a_gateway_time_out() {
        let error = Error::new(ErrorKind::Timeout(Phase::Connect), "took too long");
        assert_eq!(Problem::from(&error).status(), 504);
    }
}
