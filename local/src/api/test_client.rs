//! An HTTP client for the tests of the APIs. It reports a response whose body is incomplete.

use std::collections::HashMap;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::{Error, http_client};

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// The failure of a request.
#[derive(Debug)]
pub(crate) enum SendError {
    /// There was no response.
    NoResponse(#[expect(dead_code, reason = "tests show it with `Debug`")] Error),
    /// The connection was closed before the end of the body. The response has the received part.
    IncompleteBody(TestResponse),
}

impl TestResponse {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).expect("json")
    }

    /// Returns the status and the id of an error response, or its code, as Neon names it.
    pub(crate) fn error(&self) -> (u16, String) {
        let body = self.json();
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        let id = body.get("id").or(body.get("code"));
        let id = id.and_then(Value::as_str).expect("an id");
        (self.status, id.to_owned())
    }
}

/// Sends a request to a base URL such as `http://127.0.0.1:5001`. Headers with an empty value are
/// omitted.
pub(crate) async fn send<'a>(
    base_url: &str,
    method: &str,
    path: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: impl Into<Bytes>,
) -> Result<TestResponse, SendError> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(name, value);
    }
    let request = request.body(body.into()).expect("a request");
    let response = http_client::send(base_url, request)
        .await
        .map_err(SendError::NoResponse)?;
    let (head, mut body) = response.into_parts();
    let mut response = TestResponse {
        status: head.status.as_u16(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| {
                let value = value.to_str().expect("text");
                (name.as_str().to_owned(), value.to_owned())
            })
            .collect(),
        body: String::new(),
    };
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(SendError::IncompleteBody(response));
        };
        let data = frame.into_data().expect("no trailers");
        response.body += str::from_utf8(&data).expect("text");
    }
    Ok(response)
}
