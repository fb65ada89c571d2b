//! Streamed responses on their way to the Lambda Runtime API.
//!
//! A body that fails ends with the trailers that Lambda asks for
//! (docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html, 2026-11). `lambda_runtime` 1.5
//! writes them into the body, so that the client gets them as its last bytes, and a response that
//! looks whole.

use std::convert::Infallible;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRAILER};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use serde_json::json;

use crate::lambda::adapter::StreamsReply;
use crate::lambda::reply::{Reply, ReplyTo};
use crate::lambda::response_json::prelude_json;
use crate::lambda::runtime_api::{ApiBody, BoxError};
use crate::lambda::streamed_body::Broken;

impl<B> Reply for StreamsReply<B>
where
    B: Body + Send + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    async fn send(self, to: ReplyTo) -> Result<(), BoxError> {
        let response = match self {
            Self::Response(response) => response,
            Self::Report(report) => return report.send(to).await,
        };
        let (head, streamed) = response.into_parts();
        let (body, supervisor) = streamed.split();
        let body = body_of(Response::from_parts(head, body))?;
        let reply = to.send(headers(), body);
        let Some(supervisor) = supervisor else {
            return reply.await;
        };
        supervisor.supervise(reply).await.unwrap_or_else(|| {
            tracing::error!(
                "the response was given up: the Lambda Runtime API did not take it in the time of \
                 this invocation"
            );
            Ok(())
        })
    }
}

/// Returns the headers of the request that sends a streamed response.
pub(super) fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mode = HeaderName::from_static("lambda-runtime-function-response-mode");
    headers.insert(mode, HeaderValue::from_static("streaming"));
    let integration = "application/vnd.awslambda.http-integration-response";
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(integration));
    for name in [ERROR_TYPE, ERROR_BODY] {
        headers.append(TRAILER, HeaderValue::from_static(name));
    }
    headers
}

/// Returns the status and headers of a response, and its body behind them.
pub(super) fn body_of<B>(response: Response<B>) -> Result<ApiBody, serde_json::Error>
where
    B: Body<Data = Bytes, Error = Broken> + Send + 'static,
{
    let (mut parts, body) = response.into_parts();
    let unknown = HeaderValue::from_static("application/octet-stream");
    parts.headers.entry(CONTENT_TYPE).or_insert(unknown);
    let mut head = prelude_json(parts.status, &parts.headers)?;
    head.extend_from_slice(&[0; END_OF_HEAD_BYTES]);
    let head = stream::once(std::future::ready(Frame::data(Bytes::from(head))));
    let body = BodyStream::new(body).map(|frame| match frame {
        Ok(frame) => frame,
        Err(broken) => Frame::trailers(trailers(&broken)),
    });
    let frames = head.chain(body).map(Ok::<_, Infallible>);
    Ok(StreamBody::new(frames).boxed_unsync())
}

/// Tells that a body is not whole, in words that a client may read.
fn trailers(broken: &Broken) -> HeaderMap {
    let error = json!({"errorType": STREAM_ERROR, "errorMessage": broken.to_string()});
    let error = BASE64_STANDARD.encode(error.to_string());
    let mut trailers = HeaderMap::new();
    trailers.insert(ERROR_TYPE, HeaderValue::from_static(STREAM_ERROR));
    if let Ok(error) = HeaderValue::from_str(&error) {
        trailers.insert(ERROR_BODY, error);
    }
    trailers
}

const STREAM_ERROR: &str = "Runtime.StreamError";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// Zero bytes between the status and headers, and the body.
const END_OF_HEAD_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn head_has_each_value_of_a_header_and_each_cookie() {
        let latin_1 = |bytes| HeaderValue::from_bytes(bytes).unwrap();
        let response = Response::builder()
            .status(201)
            .header("vary", "origin")
            .header("vary", "accept")
            .header("x-place", latin_1(b"caf\xe9"))
            .header("set-cookie", "one=1")
            .header("set-cookie", latin_1(b"two=\xe9"));
        let parts = [Ok(Frame::data(Bytes::from("one")))];
        let response = response.body(StreamBody::new(stream::iter(parts))).unwrap();
        let sent = body_of(response)
            .unwrap()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        let (head, _) = sent.split_at(sent.iter().position(|byte| *byte == 0).unwrap());
        let headers = json!({
            "vary": "origin, accept", "x-place": "café", "content-type": "application/octet-stream",
        });
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(head).unwrap(),
            json!({"statusCode": 201, "headers": headers, "cookies": ["one=1", "two=é"]})
        );
    }

    #[tokio::test]
    async fn body_that_fails_ends_with_trailers_and_no_text() {
        let parts = [
            Ok(Frame::data(Bytes::from("one"))),
            Err(Broken("The function failed.")),
        ];
        let response = Response::new(StreamBody::new(stream::iter(parts)));
        let sent = body_of(response).unwrap().collect().await.unwrap();
        let trailers = sent.trailers().unwrap().clone();
        assert_eq!(trailers[ERROR_TYPE], STREAM_ERROR);
        let error = BASE64_STANDARD.decode(&trailers[ERROR_BODY]).unwrap();
        let error: serde_json::Value = serde_json::from_slice(&error).unwrap();
        assert_eq!(error["errorMessage"], "The function failed.");
        let sent = sent.to_bytes();
        let (head, body) = sent.split_at(sent.iter().position(|byte| *byte == 0).unwrap());
        let head: serde_json::Value = serde_json::from_slice(head).unwrap();
        assert_eq!(head["statusCode"], 200);
        assert_eq!(body, b"\0\0\0\0\0\0\0\0one");
    }
}
