//! Problem details: error responses of an HTTP API (RFC 9457).

use std::error::Error as StdError;
use std::fmt;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind};

/// An error response with a body of type `application/problem+json`, as
/// [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) describes it.
///
/// It is an error too, so that a handler may use `?` for a client's mistake as well as for a
/// failure of its own:
///
/// ```no_run
/// use http::StatusCode;
/// use lambda_http::{IntoResponse, Request};
/// use stagelink::Problem;
///
/// async fn handle(request: Request) -> Result<impl IntoResponse, Problem> {
///     if request.body().is_empty() {
///         return Err(Problem::new(StatusCode::BAD_REQUEST, "Send a text."));
///     }
///     let db = stagelink::client(&request).await?;
///     let row = db.query_typed_one("SELECT now()::text", &[]).await?;
///     Ok(row.get::<_, String>(0))
/// }
/// ```
///
/// Of an [`Error`] the client gets [`public_message`](Error::public_message) and nothing else;
/// the error itself stays in `source()`, for the log.
///
/// With the cargo feature `axum` it is a response of axum's, too, so that a handler of a `Router`
/// returns `Result<Json<T>, Problem>`. A problem with a status of 500 or more is logged once as
/// it becomes the response, with its causes, and the response carries the [`Error`] beneath it as
/// an extension.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    detail: String,
    members: Map<String, Value>,
    headers: HeaderMap,
    cause: Option<Error>,
}

/// The members of the body. Without `type` it is `about:blank`, whose title is the status's.
#[derive(Serialize)]
struct Members<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl Problem {
    /// Makes a problem with this status and an explanation that a client may read.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            detail: detail.into(),
            members: Map::new(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// Adds an extension member to the body, such as the fields that are wrong.
    /// Those of the standard (`type`, `title`, `status`, `detail`, `instance`) stay as they are.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        if !STANDARD_MEMBERS.contains(&name) {
            self.0.members.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Adds a response header, such as `Allow` beside 405.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Returns the status of the response.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Makes the response.
    pub fn to_response(&self) -> Response<String> {
        let parts = &*self.0;
        let members = Members {
            title: parts.status.canonical_reason().unwrap_or("Error"),
            status: parts.status.as_u16(),
            detail: &parts.detail,
            members: &parts.members,
        };
        let body = serde_json::to_string(&members).unwrap_or_default();
        let mut response = Response::new(body);
        *response.status_mut() = parts.status;
        response.headers_mut().clone_from(&parts.headers);
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }

    /// Logs a failure of the function with its causes, once per response. A client's mistake is
    /// not logged. `outermost` is the error that the handler returned.
    #[cfg(any(feature = "axum", feature = "lambda"))]
    pub(crate) fn log(&self, outermost: &(dyn StdError + 'static)) {
        if self.status().is_server_error() {
            // The problem's own text is in the response; its cause says more.
            let reason = self.source().unwrap_or(outermost);
            tracing::error!(reason = %crate::log_line::with_causes(reason), "the request failed");
        }
    }

    /// Returns the error that became this problem.
    #[cfg(feature = "axum")]
    pub(crate) fn cause(&self) -> Option<&Error> {
        self.0.cause.as_ref()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let mut problem = Self::new(status_of(&error), error.public_message());
        if let Some(wait) = error.retry_after() {
            let seconds = HeaderValue::from(wait.as_secs().max(1));
            problem.0.headers.insert(RETRY_AFTER, seconds);
        }
        problem.0.cause = Some(error);
        problem
    }
}

impl From<tokio_postgres::Error> for Problem {
    fn from(error: tokio_postgres::Error) -> Self {
        Error::from(error).into()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.status, self.0.detail)
    }
}

impl StdError for Problem {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_ref().map(|cause| cause as _)
    }
}

/// Returns 503 where waiting may help and for a preview without a database, 504 for a query that
/// took too long or an invocation that was over, 422 where the client must change its request, and
/// 500 where the operator must act.
fn status_of(error: &Error) -> StatusCode {
    match error.kind() {
        ErrorKind::Settings
        | ErrorKind::Stage
        | ErrorKind::App
        | ErrorKind::DatabaseUrl
        | ErrorKind::ProviderRefused
        | ErrorKind::ServerNotAuthenticated
        | ErrorKind::WrongDatabase
        // Not 503: that would be an invitation to send it again.
        | ErrorKind::OutcomeUnknown
        | ErrorKind::Query => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        // A preview without a database is intended: there is nothing to mend.
        ErrorKind::NoDatabase
        | ErrorKind::RateLimited
        | ErrorKind::ProviderUnavailable
        | ErrorKind::DatabaseRefused
        | ErrorKind::TooManyConnections
        | ErrorKind::DatabaseMissing
        | ErrorKind::DatabaseUnreachable
        | ErrorKind::DatabaseReadOnly => StatusCode::SERVICE_UNAVAILABLE,
        // A time limit on the way to the database, which has too much to do or is gone.
        ErrorKind::Timeout(_) if error.retry_after().is_some() => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// RFC 9457, section 3.1.
const STANDARD_MEMBERS: [&str; 5] = ["type", "title", "status", "detail", "instance"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::Phase;

    fn text(response: &Response<String>) -> &str {
        response.body()
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
    fn extension_member_is_added_and_a_standard_one_is_kept() {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "Wrong.")
            .with_member("status", 200)
            .with_member("fields", vec!["name"]);
        assert!(
            text(&problem.to_response())
                .ends_with(r#""status":400,"detail":"Wrong.","fields":["name"]}"#)
        );
    }

    #[test]
    fn error_reaches_the_client_as_its_public_message_only() {
        let error = Error::new(ErrorKind::App, "app shop-c4n4ry has no DATABASE_URL");
        let response = Problem::from(error).to_response();
        assert_eq!(response.status(), 500);
        assert!(!text(&response).contains("c4n4ry"));
    }

    #[test]
    fn retry_after_is_passed_on_in_whole_seconds() {
        let error = Error::rate_limited("rate limit", Some(Duration::from_millis(300)));
        let response = Problem::from(error).to_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
    }

    #[test]
    fn preview_without_a_database_is_not_available_and_says_when_to_come_back_if_ever() {
        let never = Problem::from(Error::no_database("no app for pull request 7", None));
        let response = never.to_response();
        assert_eq!(response.status(), 503);
        assert!(text(&response).contains("This preview has no database."));
        assert!(!response.headers().contains_key(RETRY_AFTER));
        let soon = Error::no_database("pending", Some(Duration::from_secs(10)));
        assert!(soon.is_retryable());
        let response = Problem::from(soon).to_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "10");
    }

    #[test]
    fn time_out_is_a_gateway_time_out() {
        let error = Error::new(ErrorKind::Timeout(Phase::Connect), "took too long");
        assert_eq!(Problem::from(error).status(), 504);
    }
}
