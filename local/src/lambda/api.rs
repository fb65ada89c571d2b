//! The Lambda Runtime API over HTTP, as one instance sees it.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>, as of
//! November 2026, with the refusals of AWS's own runtime interface emulator.
//! It reads and writes requests; what they mean is the instance's to decide.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::config::{ACCOUNT_ID, FunctionConfig, VERSION};
use super::extensions::{Extensions, IDENTIFIER, Refusal};
use super::invocation::{FunctionError, PAYLOAD_LIMIT_BYTES};
use super::payload::{ERROR_TYPE, Payload};
use super::streaming;

/// What the runtime of an instance asks or tells.
pub(super) enum Call {
    /// It wants the next event. The sender is dropped to refuse.
    Next(oneshot::Sender<Delivery>),
    /// It answers an event.
    Answer {
        request_id: String,
        /// The invocation id that it got with the event, if it sends it back.
        invocation_id: Option<String>,
        answer: Result<Bytes, FunctionError>,
        verdict: oneshot::Sender<Verdict>,
    },
    /// It is about to send a streamed answer to an event: who wants the parts as they come?
    Streams {
        request_id: String,
        wanted: oneshot::Sender<Option<mpsc::Sender<Bytes>>>,
    },
    /// Its INIT is over up to the snapshot: it waits to be restored. The sender is dropped to
    /// refuse.
    Restore(oneshot::Sender<()>),
    /// Its INIT failed, or what it does after it was restored.
    InitError {
        error: FunctionError,
        verdict: oneshot::Sender<Verdict>,
    },
}

/// An event with what the runtime must know of it.
pub(super) struct Delivery {
    pub(super) event: Bytes,
    pub(super) request_id: String,
    /// New for each delivery, so that a late answer is told from the right one.
    pub(super) invocation_id: String,
    pub(super) arn: HeaderValue,
    pub(super) trace_id: String,
    pub(super) deadline_ms: u128,
}

/// What is to be said to a [`Call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    /// No event of that request id is running.
    UnknownRequest,
    /// An earlier invocation of the same request id sent this.
    Stale,
    /// Not now.
    WrongPhase,
}

/// The routes of one instance's endpoint.
pub(super) fn router(
    config: Arc<FunctionConfig>,
    calls: mpsc::Sender<Call>,
    extensions: Arc<Extensions>,
) -> Router {
    let api = Api {
        config,
        calls,
        extensions,
    };
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{request_id}/response",
            post(response),
        )
        .route(
            "/2018-06-01/runtime/invocation/{request_id}/error",
            post(error),
        )
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .route("/2018-06-01/runtime/restore/next", get(restore_next))
        .route("/2018-06-01/runtime/restore/error", post(init_error))
        .route("/2020-01-01/extension/register", post(register))
        .route("/2020-01-01/extension/event/next", get(extension_next))
        .route("/2020-01-01/extension/init/error", post(extension_error))
        .route("/2020-01-01/extension/exit/error", post(extension_error))
        .with_state(api)
}

#[derive(Clone)]
struct Api {
    config: Arc<FunctionConfig>,
    calls: mpsc::Sender<Call>,
    extensions: Arc<Extensions>,
}

async fn next(State(api): State<Api>) -> Response {
    let (sender, delivery) = oneshot::channel();
    // An instance that ended drops what it was sent, so one wait covers both.
    let _ = api.calls.send(Call::Next(sender)).await;
    match delivery.await {
        Ok(delivery) => delivery.into_response(),
        Err(_) => Verdict::WrongPhase.into_response(),
    }
}

async fn restore_next(State(api): State<Api>) -> Response {
    let (sender, restored) = oneshot::channel();
    let _ = api.calls.send(Call::Restore(sender)).await;
    match restored.await {
        Ok(()) => json_body(StatusCode::OK, ""),
        Err(_) => Verdict::WrongPhase.into_response(),
    }
}

async fn response(
    State(api): State<Api>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let streamed = text(&headers, "lambda-runtime-function-response-mode") == Some("streaming");
    let limit = if streamed {
        STREAM_LIMIT_BYTES
    } else {
        PAYLOAD_LIMIT_BYTES
    };
    let parts = if streamed {
        api.wants_parts(&request_id).await
    } else {
        None
    };
    let Ok(payload) = Payload::read_and_hand_on(body, limit, parts).await else {
        return truncated();
    };
    let too_large = payload.is_too_large();
    let answer = match payload.into_answer() {
        Ok(stream) if streamed && is_integration_response(&headers) => streaming::buffered(&stream),
        answer => answer,
    };
    let verdict = api.answer(request_id, &headers, answer).await;
    if too_large && verdict == Verdict::Accepted {
        return refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            &format!("Exceeded maximum allowed payload size ({limit} bytes)."),
        );
    }
    verdict.into_response()
}

async fn error(
    State(api): State<Api>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(payload) = Payload::read(body, PAYLOAD_LIMIT_BYTES).await else {
        return truncated();
    };
    let error = payload.into_error(text(&headers, ERROR_TYPE));
    api.answer(request_id, &headers, Err(error))
        .await
        .into_response()
}

async fn init_error(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    let Ok(payload) = Payload::read(body, PAYLOAD_LIMIT_BYTES).await else {
        return truncated();
    };
    let error = payload.into_error(text(&headers, ERROR_TYPE));
    let verdict = api
        .verdict(|verdict| Call::InitError { error, verdict })
        .await;
    verdict.into_response()
}

async fn register(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    let Ok(Ok(body)) = Payload::read(body, PAYLOAD_LIMIT_BYTES)
        .await
        .map(Payload::into_answer)
    else {
        return truncated();
    };
    let id = match api.extensions.register(&headers, &body) {
        Ok(id) => id,
        Err(reason) => return refused(reason),
    };
    let handler = api.config.executable.file_name().unwrap_or_default();
    let mut answer = json!({
        "functionName": api.config.name,
        "functionVersion": VERSION,
        "handler": handler.to_string_lossy(),
    });
    if text(&headers, "lambda-extension-accept-feature") == Some("accountId") {
        answer["accountId"] = ACCOUNT_ID.into();
    }
    (
        [(IDENTIFIER, id)],
        json_body(StatusCode::OK, answer.to_string()),
    )
        .into_response()
}

async fn extension_next(State(api): State<Api>, headers: HeaderMap) -> Response {
    match api.extensions.next(&headers).await {
        Ok(event) => json_body(StatusCode::OK, event),
        Err(reason) => refused(reason),
    }
}

/// An extension that fails goes on to exit, which is what the instance acts on.
async fn extension_error() -> Response {
    Verdict::Accepted.into_response()
}

impl Api {
    async fn answer(
        &self,
        request_id: String,
        headers: &HeaderMap,
        answer: Result<Bytes, FunctionError>,
    ) -> Verdict {
        let invocation_id = text(headers, INVOCATION_ID).map(str::to_owned);
        self.verdict(|verdict| Call::Answer {
            request_id,
            invocation_id,
            answer,
            verdict,
        })
        .await
    }

    /// Where the parts of a streamed answer go, if the caller wants them as they come.
    async fn wants_parts(&self, request_id: &str) -> Option<mpsc::Sender<Bytes>> {
        let (wanted, answer) = oneshot::channel();
        let request_id = request_id.to_owned();
        let _ = self.calls.send(Call::Streams { request_id, wanted }).await;
        answer.await.ok().flatten()
    }

    async fn verdict(&self, call: impl FnOnce(oneshot::Sender<Verdict>) -> Call) -> Verdict {
        let (sender, verdict) = oneshot::channel();
        let _ = self.calls.send(call(sender)).await;
        verdict.await.unwrap_or(Verdict::WrongPhase)
    }
}

impl IntoResponse for Delivery {
    fn into_response(self) -> Response {
        let headers = [
            (
                "lambda-runtime-aws-request-id",
                header_value(&self.request_id),
            ),
            (INVOCATION_ID, header_value(&self.invocation_id)),
            (
                "lambda-runtime-deadline-ms",
                header_value(&self.deadline_ms.to_string()),
            ),
            ("lambda-runtime-invoked-function-arn", self.arn),
            ("lambda-runtime-trace-id", header_value(&self.trace_id)),
        ];
        (headers, json_body(StatusCode::OK, self.event)).into_response()
    }
}

impl IntoResponse for Verdict {
    fn into_response(self) -> Response {
        match self {
            Self::Accepted => json_body(StatusCode::ACCEPTED, r#"{"status":"OK"}"#),
            Self::UnknownRequest => refusal(
                StatusCode::BAD_REQUEST,
                "InvalidRequestID",
                "Invalid request ID",
            ),
            Self::Stale => refusal(
                StatusCode::GONE,
                "Runtime.InvokeTimeout",
                "The invocation is over",
            ),
            Self::WrongPhase => refusal(
                StatusCode::FORBIDDEN,
                "InvalidStateTransition",
                "The runtime is not in a state that allows this",
            ),
        }
    }
}

fn is_integration_response(headers: &HeaderMap) -> bool {
    text(headers, header::CONTENT_TYPE.as_str()) == Some(streaming::INTEGRATION_RESPONSE)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn header_value(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("ids and numbers that are made here are visible ASCII")
}

fn truncated() -> Response {
    refusal(
        StatusCode::BAD_REQUEST,
        "TruncatedHTTPRequest",
        "HTTP request detected as truncated",
    )
}

fn refused(reason: Refusal) -> Response {
    refusal(
        StatusCode::FORBIDDEN,
        reason,
        "The extension's request is refused",
    )
}

fn refusal(status: StatusCode, error_type: &str, error_message: &str) -> Response {
    let error = json!({"errorMessage": error_message, "errorType": error_type});
    json_body(status, error.to_string())
}

fn json_body(status: StatusCode, body: impl Into<Body>) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.into(),
    )
        .into_response()
}

const INVOCATION_ID: &str = "lambda-runtime-invocation-id";

/// The largest streamed response. It is collected, so it is bounded: 20 MB,
/// Netlify's limit for streams (its documentation, November 2026).
const STREAM_LIMIT_BYTES: usize = 20 * 1024 * 1024;
