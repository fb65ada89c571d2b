//! Injected faults: rules that make matching requests fail as a real service does.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use serde_json::{Value, json};

use super::server::CloseConnection;

/// A rule that makes requests fail.
///
/// Without [`on`](Fault::on) it matches every request. Without [`times`](Fault::times) it applies
/// until the faults are cleared. Of the rules that match, the one that was injected first applies.
///
/// ```
/// use stagelink_local::api::{Failure, Fault};
///
/// let fault = Fault::new(Failure::Hang).on("GET", "/apps/*/config-vars").times(1);
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    failure: Failure,
    /// Method and path pattern.
    route: Option<(String, String)>,
    remaining: Option<u32>,
    /// Matching requests that pass before the first one that fails.
    passing: u32,
}

/// The failure of a request.
///
/// With the first group of variants the request has no effect. With the second it has its effect,
/// and the response is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// An error status, with the API's error body for it. `retry_after` is sent in whole seconds;
    /// no API here guarantees that header, so a client must work without it.
    Status {
        /// Status from 400 to 599. Any other number becomes 500.
        status: u16,
        /// Value of the `Retry-After` header, if any.
        retry_after: Option<Duration>,
    },
    /// An error status with these words in the API's error body.
    Words {
        /// The status.
        status: u16,
        /// The words.
        words: &'static str,
    },
    /// An error status with an error id of Heroku's, such as `two_factor`.
    HerokuError {
        /// The status.
        status: u16,
        /// The id in the body.
        id: &'static str,
    },
    /// 502 with an HTML page, as a proxy in front of the API sends it.
    BadGateway,
    /// 200 with an HTML page, as a proxy that asks for a login sends it.
    LoginPage,
    /// The response leads to a page for a login, as from a proxy.
    Redirect,
    /// The request is accepted and gets no response.
    Hang,
    /// The connection is closed without a response.
    Disconnect,

    /// The response has this error status, although the request had its effect.
    FailedAfterwards {
        /// The status.
        status: u16,
    },
    /// The connection is closed without a response, although the request had its effect.
    DisconnectAfterwards,
    /// The response is sent after this time.
    Delay(Duration),
    /// The response has the `Content-Length` of its whole body, and the connection is closed after
    /// half of the body.
    HalfBody,
    /// The response has the content type of plain text.
    WrongContentType,
    /// The last character of the body is missing, so that it is not valid JSON.
    InvalidJson,
    /// The response has its status and an empty body.
    EmptyBody,
    /// The body is an empty JSON object.
    EmptyObject,
    /// The response has its status and an HTML page, as from a proxy that asks for a login.
    HtmlPage,
    /// The response is 204, without a body.
    NoContent,
    /// Each object of the JSON body is another one: it has another id, name, title and site.
    OtherObject,
}

impl Fault {
    /// Creates a fault that matches every request, until the faults are cleared.
    pub fn new(failure: Failure) -> Self {
        Self {
            failure,
            route: None,
            remaining: None,
            passing: 0,
        }
    }

    /// Limits the fault to requests with this method and path. In the path `*` matches one segment,
    /// and `**` at the end matches all that follow. The query is ignored.
    pub fn on(self, method: &str, path: &str) -> Self {
        Self {
            route: Some((method.to_ascii_uppercase(), path.to_owned())),
            ..self
        }
    }

    /// Lets as many matching requests pass before the first one that fails.
    pub fn after(self, passing: u32) -> Self {
        Self { passing, ..self }
    }

    /// Limits the fault to the next `times` matching requests.
    pub fn times(self, times: u32) -> Self {
        Self {
            remaining: Some(times),
            ..self
        }
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        self.route.as_ref().is_none_or(|(wanted, pattern)| {
            wanted == method.as_str() && path_matches(pattern, path)
        })
    }
}

/// The active rules.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: VecDeque<(FaultId, Fault)>,
    last: u64,
}

/// Number of an injected rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultId(u64);

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) -> FaultId {
        self.last += 1;
        let id = FaultId(self.last);
        self.rules.push_back((id, fault));
        id
    }

    pub(super) fn remove(&mut self, id: FaultId) {
        self.rules.retain(|(rule, _)| *rule != id);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Returns the failure for a request, if a rule matches, and counts the request for that rule.
    pub(super) fn next_failure(&mut self, method: &Method, path: &str) -> Option<Failure> {
        self.rules.retain(|(_, fault)| fault.remaining != Some(0));
        let rules = self.rules.iter_mut().map(|(_, fault)| fault);
        let mut matching = rules.filter(|fault| fault.matches(method, path));
        let fault = matching.find_map(|fault| match fault.passing.checked_sub(1) {
            Some(passing) => {
                fault.passing = passing;
                None
            }
            None => Some(fault),
        })?;
        if let Some(remaining) = &mut fault.remaining {
            *remaining -= 1;
        }
        Some(fault.failure)
    }
}

impl Failure {
    /// Returns the response to a request with this failure. `response` is the response without it;
    /// `error_response` creates the API's own response with an error status.
    pub(super) async fn apply(
        self,
        response: impl Future<Output = Response>,
        error_response: fn(StatusCode) -> Response,
    ) -> Response {
        match self {
            Self::Status {
                status,
                retry_after,
            } => with_status(status, retry_after, error_response),
            Self::HerokuError { status, id } => {
                let body = json!({"id": id, "message": "The request was refused."});
                let mut response = Json(body).into_response();
                *response.status_mut() = error_status(status);
                response
            }
            Self::Words { status, words } => {
                let mut response = Json(json!({"message": words})).into_response();
                *response.status_mut() = error_status(status);
                response
            }
            Self::BadGateway => html_page(StatusCode::BAD_GATEWAY),
            Self::LoginPage => html_page(StatusCode::OK),
            Self::Redirect => {
                let to = [(header::LOCATION, "/login")];
                (StatusCode::FOUND, to).into_response()
            }
            Self::Hang => std::future::pending().await,
            Self::Disconnect => close_connection(),
            Self::DisconnectAfterwards => {
                let _ = response.await;
                close_connection()
            }
            Self::FailedAfterwards { status } => {
                let _ = response.await;
                error_response(error_status(status))
            }
            Self::Delay(time) => {
                tokio::time::sleep(time).await;
                response.await
            }
            Self::HalfBody => {
                replace_body(response.await, |body| {
                    let half = body.slice(..body.len() / 2);
                    let whole = body.len();
                    (Body::new(TruncatedBody(Some(half))), Some(whole))
                })
                .await
            }
            Self::WrongContentType => {
                let mut response = response.await;
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                response
            }
            Self::InvalidJson => {
                replace_body(response.await, |body| {
                    let rest = body.slice(..body.len().saturating_sub(1));
                    (Body::from(rest), None)
                })
                .await
            }
            Self::EmptyBody => replace_body(response.await, |_| (Body::empty(), None)).await,
            Self::EmptyObject => replace_body(response.await, |_| (Body::from("{}"), None)).await,
            Self::HtmlPage => html_page(response.await.status()),
            Self::NoContent => {
                let _ = response.await;
                StatusCode::NO_CONTENT.into_response()
            }
            Self::OtherObject => {
                replace_body(response.await, |body| {
                    let mut json = serde_json::from_slice(&body).unwrap_or_default();
                    make_another(&mut json);
                    (Body::from(json.to_string()), None)
                })
                .await
            }
        }
    }
}

fn close_connection() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(CloseConnection);
    response
}

fn with_status(
    status: u16,
    retry_after: Option<Duration>,
    error_response: fn(StatusCode) -> Response,
) -> Response {
    let mut response = error_response(error_status(status));
    if let Some(wait) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}

fn error_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| status.is_client_error() || status.is_server_error())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn html_page(status: StatusCode) -> Response {
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    let text = format!(
        "<!DOCTYPE html>\n<html><head><title>{status}</title></head>\
         <body><h1>{status}</h1></body></html>\n"
    );
    (status, html, text).into_response()
}

/// Replaces the body of a response. `change` returns the new body and its `Content-Length` if that
/// is not the body's own length.
async fn replace_body(
    response: Response,
    change: impl FnOnce(Bytes) -> (Body, Option<usize>),
) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (body, content_length) = change(body);
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(length) = content_length {
        parts
            .headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, body)
}

/// Makes another object of each in this JSON that has an id.
fn make_another(json: &mut Value) {
    match json {
        Value::Array(list) => list.iter_mut().for_each(make_another),
        Value::Object(object) => {
            object.values_mut().for_each(make_another);
            for name in ["id", "site_id", "name", "title"] {
                if let Some(member) = object.get_mut(name).filter(|of| of.is_string()) {
                    *member = json!("other");
                }
            }
        }
        _ => {}
    }
}

/// A body that ends with an error after its data.
struct TruncatedBody(Option<Bytes>);

impl http_body::Body for TruncatedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.0.take() {
            None => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
            Some(rest) if rest.is_empty() => {
                // Waiting once lets the connection send the data before the error.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(data) => {
                self.0 = Some(Bytes::new());
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
        }
    }
}

fn path_matches(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some("**"), _) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_with_a_count_applies_to_that_many_matching_requests() {
        let mut faults = Faults::default();
        faults.inject(
            Fault::new(Failure::Hang)
                .on("get", "/apps/*/config-vars")
                .times(2),
        );
        let path = "/apps/guestbook/config-vars";
        assert_eq!(faults.next_failure(&Method::PATCH, path), None);
        assert_eq!(faults.next_failure(&Method::GET, "/apps/guestbook"), None);
        assert_eq!(faults.next_failure(&Method::GET, path), Some(Failure::Hang));
        assert_eq!(faults.next_failure(&Method::GET, path), Some(Failure::Hang));
        assert_eq!(faults.next_failure(&Method::GET, path), None);
    }

    #[test]
    fn fault_without_a_route_applies_to_all_requests_until_cleared() {
        let mut faults = Faults::default();
        faults.inject(Fault::new(Failure::BadGateway));
        assert_eq!(
            faults.next_failure(&Method::GET, "/a"),
            Some(Failure::BadGateway)
        );
        assert_eq!(
            faults.next_failure(&Method::POST, "/b/c"),
            Some(Failure::BadGateway)
        );
        faults.clear();
        assert_eq!(faults.next_failure(&Method::GET, "/a"), None);
    }

    #[test]
    fn fault_of_a_later_request_lets_those_before_it_pass() {
        let mut faults = Faults::default();
        faults.inject(Fault::new(Failure::Hang).after(2).times(1));
        let next: Vec<_> = (0..4)
            .map(|_| faults.next_failure(&Method::GET, "/a").is_some())
            .collect();
        assert_eq!(next, [false, false, true, false]);
    }

    #[test]
    fn removed_fault_is_gone_and_others_stay() {
        let mut faults = Faults::default();
        let first = faults.inject(Fault::new(Failure::Hang));
        faults.inject(Fault::new(Failure::BadGateway));
        faults.remove(first);
        let left = faults.next_failure(&Method::GET, "/a");
        assert_eq!(left, Some(Failure::BadGateway));
    }

    #[test]
    fn pattern_with_two_stars_matches_all_that_follows() {
        assert!(path_matches("/client/**", "/client/v11/databases/x"));
        assert!(!path_matches("/client/**", "/clients"));
        assert!(!path_matches("/apps/*", "/apps/a/b"));
        assert!(!path_matches("/apps/*/releases", "/apps/a"));
    }
}
