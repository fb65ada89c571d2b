//! The HTTP routes of the Lambda Runtime API and Extensions API, as one instance sees them.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>, as of November 2026, with
//! the error responses of AWS's runtime interface emulator. The routes parse requests and write
//! responses; the instance decides what a request does.

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
use super::extensions::{ExtensionErrorType, Extensions, IDENTIFIER};
use super::invocation::{FunctionError, PAYLOAD_LIMIT_BYTES};
use super::payload::{ERROR_TYPE, Payload};
use super::spans::SpanReport;
use super::streaming;

/// A request of an instance's runtime.
pub(super) enum RuntimeRequest {
    /// Asks for the next event. Dropping the sender refuses the request.
    Next(oneshot::Sender<Delivery>),
    /// Reports the response to an event, or the function's error.
    Response {
        request_id: String,
        /// The invocation id that came with the event, if the runtime sends it back.
        invocation_id: Option<String>,
        response: Result<Bytes, FunctionError>,
        status: oneshot::Sender<RequestStatus>,
    },
    /// Begins a streamed response to an event. The reply is the channel for its chunks, if
    /// the caller wants them.
    StreamStart {
        request_id: String,
        chunks: oneshot::Sender<Option<mpsc::Sender<Bytes>>>,
    },
    /// Reports where the time of an event went.
    Spans {
        request_id: String,
        report: SpanReport,
        status: oneshot::Sender<RequestStatus>,
    },
    /// Asks to be restored from the snapshot, after INIT. Dropping the sender refuses the
    /// request.
    RestoreNext(oneshot::Sender<()>),
    /// Reports that INIT failed, or the initialization after a restore.
    InitError {
        error: FunctionError,
        status: oneshot::Sender<RequestStatus>,
    },
}

/// An event with its invocation's metadata.
pub(super) struct Delivery {
    pub(super) event: Bytes,
    pub(super) request_id: String,
    /// New for each delivery, so that a late response is recognized.
    pub(super) invocation_id: String,
    pub(super) arn: HeaderValue,
    pub(super) client_context: Option<HeaderValue>,
    pub(super) trace_id: String,
    pub(super) deadline_ms: u128,
}

/// The instance's reply to a [`RuntimeRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestStatus {
    Accepted,
    /// No event with that request id is running.
    UnknownRequestId,
    /// The response belongs to an earlier delivery with the same request id.
    StaleInvocation,
    /// The request is not allowed in the runtime's current state.
    InvalidState,
}

/// Returns the routes of one instance's endpoint.
pub(super) fn router(
    config: Arc<FunctionConfig>,
    requests: mpsc::Sender<RuntimeRequest>,
    extensions: Arc<Extensions>,
) -> Router {
    let api = Api {
        config,
        requests,
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
        .route("/stagelink/invocation/{request_id}/spans", post(spans))
        .with_state(api)
}

#[derive(Clone)]
struct Api {
    config: Arc<FunctionConfig>,
    requests: mpsc::Sender<RuntimeRequest>,
    extensions: Arc<Extensions>,
}

async fn next(State(api): State<Api>) -> Response {
    let (sender, delivery) = oneshot::channel();
    // An instance that has ended drops the request and the sender in it, so waiting for the
    // delivery covers a failure to send, too.
    let _ = api.requests.send(RuntimeRequest::Next(sender)).await;
    match delivery.await {
        Ok(delivery) => delivery.into_response(),
        Err(_) => RequestStatus::InvalidState.into_response(),
    }
}

async fn restore_next(State(api): State<Api>) -> Response {
    let (sender, restored) = oneshot::channel();
    let _ = api.requests.send(RuntimeRequest::RestoreNext(sender)).await;
    match restored.await {
        Ok(()) => json_body(StatusCode::OK, ""),
        Err(_) => RequestStatus::InvalidState.into_response(),
    }
}

async fn response(
    State(api): State<Api>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let streamed =
        header_text(&headers, "lambda-runtime-function-response-mode") == Some("streaming");
    let limit = if streamed {
        STREAM_LIMIT_BYTES
    } else {
        PAYLOAD_LIMIT_BYTES
    };
    let chunks = if streamed {
        api.chunk_sender(&request_id).await
    } else {
        None
    };
    let Ok(payload) = Payload::read_and_forward(body, limit, chunks).await else {
        return truncated_request();
    };
    let too_large = payload.is_too_large();
    let response = match payload.into_response() {
        Ok(stream) if streamed && is_integration_response(&headers) => {
            streaming::to_buffered(&stream)
        }
        response => response,
    };
    let status = api.send_response(request_id, &headers, response).await;
    if too_large && status == RequestStatus::Accepted {
        return error_response(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            &format!("Exceeded maximum allowed payload size ({limit} bytes)."),
        );
    }
    status.into_response()
}

async fn error(
    State(api): State<Api>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(payload) = Payload::read(body, PAYLOAD_LIMIT_BYTES).await else {
        return truncated_request();
    };
    let error = payload.into_error(header_text(&headers, ERROR_TYPE));
    api.send_response(request_id, &headers, Err(error))
        .await
        .into_response()
}

async fn spans(State(api): State<Api>, Path(request_id): Path<String>, body: Body) -> Response {
    let report = match Payload::read(body, PAYLOAD_LIMIT_BYTES).await {
        Ok(payload) => payload.into_response().ok(),
        Err(_) => return truncated_request(),
    };
    let Some(report) = report.and_then(|json| SpanReport::parse(&json)) else {
        return RequestStatus::InvalidState.into_response();
    };
    let request = |status| RuntimeRequest::Spans {
        request_id,
        report,
        status,
    };
    api.send(request).await.into_response()
}

async fn init_error(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    let Ok(payload) = Payload::read(body, PAYLOAD_LIMIT_BYTES).await else {
        return truncated_request();
    };
    let error = payload.into_error(header_text(&headers, ERROR_TYPE));
    let status = api
        .send(|status| RuntimeRequest::InitError { error, status })
        .await;
    status.into_response()
}

async fn register(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    let Ok(Ok(body)) = Payload::read(body, PAYLOAD_LIMIT_BYTES)
        .await
        .map(Payload::into_response)
    else {
        return truncated_request();
    };
    let id = match api.extensions.register(&headers, &body) {
        Ok(id) => id,
        Err(error_type) => return extension_error_response(error_type),
    };
    let handler = api.config.executable.file_name().unwrap_or_default();
    let mut response = json!({
        "functionName": api.config.name,
        "functionVersion": VERSION,
        "handler": handler.to_string_lossy(),
    });
    if header_text(&headers, "lambda-extension-accept-feature") == Some("accountId") {
        response["accountId"] = ACCOUNT_ID.into();
    }
    (
        [(IDENTIFIER, id)],
        json_body(StatusCode::OK, response.to_string()),
    )
        .into_response()
}

async fn extension_next(State(api): State<Api>, headers: HeaderMap) -> Response {
    match api.extensions.next(&headers).await {
        Ok(event) => json_body(StatusCode::OK, event),
        Err(error_type) => extension_error_response(error_type),
    }
}

/// Accepts the report of a failed extension. The extension then exits, and the instance acts on
/// that.
async fn extension_error() -> Response {
    RequestStatus::Accepted.into_response()
}

impl Api {
    async fn send_response(
        &self,
        request_id: String,
        headers: &HeaderMap,
        response: Result<Bytes, FunctionError>,
    ) -> RequestStatus {
        let invocation_id = header_text(headers, INVOCATION_ID).map(str::to_owned);
        self.send(|status| RuntimeRequest::Response {
            request_id,
            invocation_id,
            response,
            status,
        })
        .await
    }

    /// Returns the channel for the chunks of a streamed response, if the caller wants them as they
    /// come.
    async fn chunk_sender(&self, request_id: &str) -> Option<mpsc::Sender<Bytes>> {
        let (chunks, sender) = oneshot::channel();
        let request_id = request_id.to_owned();
        let request = RuntimeRequest::StreamStart { request_id, chunks };
        let _ = self.requests.send(request).await;
        sender.await.ok().flatten()
    }

    async fn send(
        &self,
        request: impl FnOnce(oneshot::Sender<RequestStatus>) -> RuntimeRequest,
    ) -> RequestStatus {
        let (sender, status) = oneshot::channel();
        let _ = self.requests.send(request(sender)).await;
        status.await.unwrap_or(RequestStatus::InvalidState)
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
        let mut response = (headers, json_body(StatusCode::OK, self.event)).into_response();
        if let Some(context) = self.client_context {
            let headers = response.headers_mut();
            headers.insert("lambda-runtime-client-context", context);
        }
        response
    }
}

impl IntoResponse for RequestStatus {
    fn into_response(self) -> Response {
        match self {
            Self::Accepted => json_body(StatusCode::ACCEPTED, r#"{"status":"OK"}"#),
            Self::UnknownRequestId => error_response(
                StatusCode::BAD_REQUEST,
                "InvalidRequestID",
                "Invalid request ID",
            ),
            Self::StaleInvocation => error_response(
                StatusCode::GONE,
                "Runtime.InvokeTimeout",
                "The invocation is over",
            ),
            Self::InvalidState => error_response(
                StatusCode::FORBIDDEN,
                "InvalidStateTransition",
                "The runtime is not in a state that allows this",
            ),
        }
    }
}

fn is_integration_response(headers: &HeaderMap) -> bool {
    header_text(headers, header::CONTENT_TYPE.as_str()) == Some(streaming::INTEGRATION_RESPONSE)
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn header_value(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("ids and numbers that this crate creates are visible ASCII")
}

fn truncated_request() -> Response {
    error_response(
        StatusCode::BAD_REQUEST,
        "TruncatedHTTPRequest",
        "HTTP request detected as truncated",
    )
}

fn extension_error_response(error_type: ExtensionErrorType) -> Response {
    error_response(
        StatusCode::FORBIDDEN,
        error_type,
        "The extension's request was refused",
    )
}

fn error_response(status: StatusCode, error_type: &str, error_message: &str) -> Response {
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

/// The largest streamed response, in bytes. The stand-in buffers it, so it has a limit: 20 MB,
/// Netlify's limit for streams (its documentation, November 2026).
const STREAM_LIMIT_BYTES: usize = 20 * 1024 * 1024;
