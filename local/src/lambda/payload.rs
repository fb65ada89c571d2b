//! The body of a request, of bounded size: a runtime's response or error, or an event.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::mpsc;

use super::invocation::FunctionError;
use super::invoke_error::InvokeError;

/// The body of a request, up to its size limit.
pub(crate) struct Payload {
    body: BytesMut,
    size_bytes: usize,
    limit_bytes: usize,
    trailers: HeaderMap,
}

impl Payload {
    /// Reads a body to its end, even if it is too large: a client that is still writing would see
    /// a broken connection instead of the response.
    pub(crate) async fn read(body: Body, limit_bytes: usize) -> Result<Self, axum::Error> {
        Self::read_and_forward(body, limit_bytes, None).await
    }

    /// Reads a body as [`read`](Self::read) does, and forwards each chunk up to the limit. A closed
    /// channel is ignored.
    pub(super) async fn read_and_forward(
        mut body: Body,
        limit_bytes: usize,
        chunks: Option<mpsc::Sender<Bytes>>,
    ) -> Result<Self, axum::Error> {
        let mut payload = Self {
            body: BytesMut::new(),
            size_bytes: 0,
            limit_bytes,
            trailers: HeaderMap::new(),
        };
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    payload.size_bytes += data.len();
                    if !payload.is_too_large() {
                        payload.body.extend_from_slice(&data);
                        if let Some(chunks) = &chunks {
                            let _ = chunks.send(data).await;
                        }
                    }
                }
                Err(frame) => payload
                    .trailers
                    .extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        Ok(payload)
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.size_bytes > self.limit_bytes
    }

    /// Returns the body, unless it is too large or the runtime aborted it with an error trailer.
    pub(super) fn into_response(self) -> Result<Bytes, FunctionError> {
        if self.is_too_large() {
            return Err(FunctionError {
                error_type: "Function.ResponseSizeTooLarge".to_owned(),
                error_message: format!(
                    "Response payload size ({} bytes) exceeded maximum allowed payload size ({} \
                     bytes).",
                    self.size_bytes, self.limit_bytes
                ),
            });
        }
        let error_type = self.trailers.get(ERROR_TYPE);
        match error_type.and_then(|value| value.to_str().ok()) {
            None => Ok(self.body.freeze()),
            Some(error_type) => Err(FunctionError {
                error_type: error_type.to_owned(),
                error_message: "the function aborted its streamed response".to_owned(),
            }),
        }
    }

    /// Returns the body as an event.
    ///
    /// # Errors
    ///
    /// [`InvokeError::EventTooLarge`].
    pub(crate) fn into_event(self) -> Result<Bytes, InvokeError> {
        match self.is_too_large() {
            true => Err(InvokeError::EventTooLarge {
                size_bytes: self.size_bytes,
                limit_bytes: self.limit_bytes,
            }),
            false => Ok(self.body.freeze()),
        }
    }

    /// Returns the error in the body. `error_type` is used if the body has no type.
    pub(super) fn into_error(self, error_type: Option<&str>) -> FunctionError {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let error_type = body["errorType"].as_str().or(error_type);
        FunctionError {
            error_type: error_type.unwrap_or("Function.Unknown").to_owned(),
            error_message: body["errorMessage"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// Name of the header, or the trailer of a stream, with an error's type.
pub(super) const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn aborted_stream_with_error_trailer_is_that_error() {
        let trailers = HeaderMap::from_iter([(
            ERROR_TYPE.parse().unwrap(),
            HeaderValue::from_static("Runtime.StreamError"),
        )]);
        let body = Full::from("half").with_trailers(std::future::ready(Some(Ok(trailers))));
        let payload = Payload::read(Body::new(body), 4).await.unwrap();
        let error = payload.into_response().unwrap_err();
        assert_eq!(error.error_type, "Runtime.StreamError");
    }

    #[tokio::test]
    async fn payload_over_its_limit_is_read_to_the_end_and_refused() {
        let payload = Payload::read(Body::from("12345"), 4).await.unwrap();
        assert_eq!(payload.size_bytes, 5);
        let error = payload.into_response().unwrap_err();
        assert_eq!(error.error_type, "Function.ResponseSizeTooLarge");
    }

    #[tokio::test]
    async fn error_without_a_body_takes_its_type_from_the_header() {
        let payload = Payload::read(Body::empty(), 4).await.unwrap();
        assert_eq!(
            payload.into_error(Some("unhandled")).error_type,
            "unhandled"
        );
    }
}
