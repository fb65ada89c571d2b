//! A streamed response to a test's request.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use stagelink::testing::InProcessResponse;

use crate::response::TestResponse;

/// A response whose body is read part by part, as the handler sends it.
///
/// [`TestRequest::stream`](crate::TestRequest::stream) returns it. The function serves the next request when the body is
/// at its end, or this is dropped: the handler's body is broken off then, as of a client that goes.
#[derive(Debug)]
pub struct TestStream {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Whole(Option<Bytes>),
    Streamed(InProcessResponse),
}

impl TestStream {
    pub(crate) fn new(mut response: InProcessResponse) -> Self {
        Self {
            status: response.status,
            headers: std::mem::take(&mut response.headers),
            body: Body::Streamed(response),
        }
    }

    pub(crate) fn of_whole(response: TestResponse) -> Self {
        let body = response.body().clone();
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: Body::Whole(Some(body).filter(|body| !body.is_empty())),
        }
    }

    /// Returns the status. It compares with a number: `assert_eq!(stream.status(), 200)`.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Waits for the next part of the body; `None` at its end.
    ///
    /// # Errors
    ///
    /// The words with which the body was broken off, as Lambda gets them: it failed, panicked, or took longer than the
    /// invocation. They have no details: those are in the function's log.
    pub async fn part(&mut self) -> Result<Option<Bytes>, String> {
        match &mut self.body {
            Body::Whole(body) => Ok(body.take()),
            Body::Streamed(response) => response.part().await,
        }
    }

    /// Reads the rest of the body.
    pub(crate) async fn whole(mut self) -> Result<TestResponse, String> {
        let mut body = Vec::new();
        while let Some(part) = self.part().await? {
            body.extend_from_slice(&part);
        }
        Ok(TestResponse::new(self.status, self.headers, body.into()))
    }
}
