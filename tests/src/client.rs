//! A plain HTTP client for sites on this machine.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::Record;

/// HTTP response with its whole body.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Parses the body as JSON; returns null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns a header's value; empty if the header is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Sends a request to a URL such as `http://staging.localhost:8888/api/guestbook`.
///
/// Names beneath `localhost` resolve to this machine, independent of the system's resolver.
///
/// # Panics
///
/// When the request cannot be built, no response arrives, or the response contains a secret.
pub async fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Answer {
    try_send(method, url, headers, body)
        .await
        .unwrap_or_else(|why| panic!("{method} {url}: {why}"))
}

/// Sends a request as [`send`] does, and returns an error if no response arrives.
///
/// # Panics
///
/// When the request cannot be built, or the response contains a secret.
pub(crate) async fn try_send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Result<Answer, String> {
    let answer = send_once(method, url, headers, body).await?;
    let record = Record::new([]);
    record.add(answer.text());
    record.add(format!("{:?}", answer.headers));
    Ok(answer)
}

/// Sends a request as [`send`] does, to a service whose responses hold secrets.
///
/// # Panics
///
/// When the request cannot be built, or no response arrives.
pub async fn send_to_secret_keeper(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Answer {
    send_once(method, url, headers, body)
        .await
        .unwrap_or_else(|why| panic!("{method} {url}: {why}"))
}

async fn send_once(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Result<Answer, String> {
    let uri: Uri = url.parse().expect("the test's URL parses");
    let authority = uri.authority().expect("the test's URL has a host").clone();
    let port = authority.port_u16().unwrap_or(80);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://127.0.0.1:{port}{path}"))
        .header("host", authority.as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::copy_from_slice(body.as_ref())))
        .expect("the test's request is valid");
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let response = client
        .request(request)
        .await
        .map_err(|error| format!("no response: {error:?}"))?;
    let (head, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| format!("the response was truncated: {error:?}"))?
        .to_bytes();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body,
    })
}
