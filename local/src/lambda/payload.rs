//! What a runtime sends with a request: an answer or an error, of bounded size.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::mpsc;

use super::invocation::FunctionError;

/// A request's body, as much of it as is allowed.
pub(super) struct Payload {
    body: BytesMut,
    size_bytes: usize,
    limit_bytes: usize,
    trailers: HeaderMap,
}

impl Payload {
    /// Reads to the end even what is too large: a client that is still writing
    /// would see a broken connection in place of the answer.
    pub(super) async fn read(body: Body, limit_bytes: usize) -> Result<Self, axum::Error> {
        Self::read_and_hand_on(body, limit_bytes, None).await
    }

    /// The same, and hands on what comes as it comes, up to the limit. Who takes it may go away.
    pub(super) async fn read_and_hand_on(
        mut body: Body,
        limit_bytes: usize,
        parts: Option<mpsc::Sender<Bytes>>,
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
                        if let Some(parts) = &parts {
                            let _ = parts.send(data).await;
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

    /// The body, unless it is too large, or the runtime says behind it that it
    /// broke off in the middle.
    pub(super) fn into_answer(self) -> Result<Bytes, FunctionError> {
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
                error_message: "the function broke off its streamed response".to_owned(),
            }),
        }
    }

    /// The error that the body describes, or as much of it as is known.
    pub(super) fn into_error(self, error_type: Option<&str>) -> FunctionError {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let error_type = body["errorType"].as_str().or(error_type);
        FunctionError {
            error_type: error_type.unwrap_or("Function.Unknown").to_owned(),
            error_message: body["errorMessage"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// The header, or the trailer of a stream, that names an error's type.
pub(super) const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn stream_that_breaks_off_with_an_error_trailer_is_that_error() {
        let trailers = HeaderMap::from_iter([(
            ERROR_TYPE.parse().unwrap(),
            HeaderValue::from_static("Runtime.StreamError"),
        )]);
        let body = Full::from("half").with_trailers(std::future::ready(Some(Ok(trailers))));
        let payload = Payload::read(Body::new(body), 4).await.unwrap();
        let error = payload.into_answer().unwrap_err();
        assert_eq!(error.error_type, "Runtime.StreamError");
    }

    #[tokio::test]
    async fn payload_over_its_limit_is_read_to_the_end_and_refused() {
        let payload = Payload::read(Body::from("12345"), 4).await.unwrap();
        assert_eq!(payload.size_bytes, 5);
        let error = payload.into_answer().unwrap_err();
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
