//! Failures on demand: rules that make matching requests fail the way a real service does.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;

use super::server::Disconnected;

/// A rule that makes requests fail.
///
/// Without [`on`](Fault::on) it holds for every request, without
/// [`times`](Fault::times) until the faults are cleared. Rules are tried in the order
/// in which they were injected; the first that matches is used.
///
/// ```
/// use stagelink_local::api::{Failure, Fault};
///
/// let fault = Fault::new(Failure::Hang).on("GET", "/apps/*/config-vars").times(1);
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    failure: Failure,
    place: Option<(String, String)>,
    left: Option<u32>,
}

/// In which way a request fails.
///
/// The first group never reaches the resource. The second lets the request do its
/// work and spoils the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// This status, with the error body that the API has for it. `retry_after` is sent
    /// in whole seconds; no API here promises that header, so a client must manage
    /// without.
    Status {
        /// The status, 400 to 599; any other number becomes 500.
        status: u16,
        /// The `Retry-After` header, if there is to be one.
        retry_after: Option<Duration>,
    },
    /// 502 with an HTML page, as a proxy before the API sends it.
    BadGateway,
    /// The request is accepted and never answered.
    Hang,
    /// The connection is closed without an answer.
    Disconnect,

    /// The answer comes after this time.
    Delay(Duration),
    /// The answer announces its whole length and the connection is closed after
    /// half of it.
    HalfBody,
    /// The answer says that it is plain text.
    WrongContentType,
    /// The answer's last character is missing, so that it is no JSON.
    InvalidJson,
    /// The answer has its status and no body.
    EmptyBody,
    /// The answer is a JSON object that holds nothing.
    EmptyObject,
    /// The answer has its status and is an HTML page, as of a proxy that wants a login.
    Page,
}

impl Fault {
    /// A fault for every request, until the faults are cleared.
    pub fn new(failure: Failure) -> Self {
        Self {
            failure,
            place: None,
            left: None,
        }
    }

    /// Only for requests with this method and path. In the path `*` stands for one
    /// segment, and `**` at the end for all that follow. A query plays no part.
    pub fn on(self, method: &str, path: &str) -> Self {
        Self {
            place: Some((method.to_ascii_uppercase(), path.to_owned())),
            ..self
        }
    }

    /// Only for the next `times` requests that match.
    pub fn times(self, times: u32) -> Self {
        Self {
            left: Some(times),
            ..self
        }
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        self.place
            .as_ref()
            .is_none_or(|(wanted, pattern)| wanted == method.as_str() && fits(pattern, path))
    }
}

/// The rules that hold now.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<Fault>);

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        self.0.push_back(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// How this request is to fail, if it is. Counts it against its rule.
    pub(super) fn take(&mut self, method: &Method, path: &str) -> Option<Failure> {
        self.0.retain(|fault| fault.left != Some(0));
        let fault = self
            .0
            .iter_mut()
            .find(|fault| fault.matches(method, path))?;
        if let Some(left) = &mut fault.left {
            *left -= 1;
        }
        Some(fault.failure)
    }
}

impl Failure {
    /// The answer to a request that fails in this way; `genuine` is what the answer
    /// would have been, and `refusal` the API's own with a status of failure.
    pub(super) async fn spoil(
        self,
        genuine: impl Future<Output = Response>,
        refusal: fn(StatusCode) -> Response,
    ) -> Response {
        match self {
            Self::Status {
                status,
                retry_after,
            } => refused(status, retry_after, refusal),
            Self::BadGateway => page(StatusCode::BAD_GATEWAY),
            Self::Hang => std::future::pending().await,
            Self::Disconnect => {
                let mut response = Response::default();
                response.extensions_mut().insert(Disconnected);
                response
            }
            Self::Delay(time) => {
                tokio::time::sleep(time).await;
                genuine.await
            }
            Self::HalfBody => {
                rewrite(genuine.await, |body| {
                    let half = body.slice(..body.len() / 2);
                    let whole = body.len();
                    (Body::new(Cut(Some(half))), Some(whole))
                })
                .await
            }
            Self::WrongContentType => {
                let mut response = genuine.await;
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                response
            }
            Self::InvalidJson => {
                rewrite(genuine.await, |body| {
                    let rest = body.slice(..body.len().saturating_sub(1));
                    (Body::from(rest), None)
                })
                .await
            }
            Self::EmptyBody => rewrite(genuine.await, |_| (Body::empty(), None)).await,
            Self::EmptyObject => rewrite(genuine.await, |_| (Body::from("{}"), None)).await,
            Self::Page => page(genuine.await.status()),
        }
    }
}

fn refused(
    status: u16,
    retry_after: Option<Duration>,
    refusal: fn(StatusCode) -> Response,
) -> Response {
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| status.is_client_error() || status.is_server_error())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = refusal(status);
    if let Some(wait) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}

fn page(status: StatusCode) -> Response {
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    let text = format!(
        "<!DOCTYPE html>\n<html><head><title>{status}</title></head>\
         <body><h1>{status}</h1></body></html>\n"
    );
    (status, html, text).into_response()
}

/// The response with another body; the number is the length to announce where it is
/// not the body's own.
async fn rewrite(
    response: Response,
    change: impl FnOnce(Bytes) -> (Body, Option<usize>),
) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (body, announced) = change(body);
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(length) = announced {
        parts
            .headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, body)
}

/// A body that breaks off after what it holds.
struct Cut(Option<Bytes>);

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.0.take() {
            None => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
            Some(rest) if rest.is_empty() => {
                // Pausing once lets the connection send what came before the break.
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

fn fits(pattern: &str, path: &str) -> bool {
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
    fn fault_with_a_count_holds_for_that_many_matching_requests() {
        let mut faults = Faults::default();
        faults.inject(
            Fault::new(Failure::Hang)
                .on("get", "/apps/*/config-vars")
                .times(2),
        );
        let path = "/apps/guestbook/config-vars";
        assert_eq!(faults.take(&Method::PATCH, path), None);
        assert_eq!(faults.take(&Method::GET, "/apps/guestbook"), None);
        assert_eq!(faults.take(&Method::GET, path), Some(Failure::Hang));
        assert_eq!(faults.take(&Method::GET, path), Some(Failure::Hang));
        assert_eq!(faults.take(&Method::GET, path), None);
    }

    #[test]
    fn fault_without_a_place_holds_for_everything_until_cleared() {
        let mut faults = Faults::default();
        faults.inject(Fault::new(Failure::BadGateway));
        assert_eq!(faults.take(&Method::GET, "/a"), Some(Failure::BadGateway));
        assert_eq!(
            faults.take(&Method::POST, "/b/c"),
            Some(Failure::BadGateway)
        );
        faults.clear();
        assert_eq!(faults.take(&Method::GET, "/a"), None);
    }

    #[test]
    fn pattern_with_two_stars_fits_all_that_follows() {
        assert!(fits("/client/**", "/client/v11/databases/x"));
        assert!(!fits("/client/**", "/clients"));
        assert!(!fits("/apps/*", "/apps/a/b"));
        assert!(!fits("/apps/*/releases", "/apps/a"));
    }
}
