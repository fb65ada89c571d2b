//! The services that turn an invocation's event into a request or a call of the event handler.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures_util::FutureExt as _;
use http::Response;
use http::header::{HeaderName, HeaderValue};
use lambda_http::lambda_runtime::Diagnostic;
use lambda_http::{Body, Context, LambdaEvent, Request, RequestExt as _};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::timeout_at;
use tower_service::Service;
use tracing::Instrument as _;

use crate::database::Databases;
use crate::lambda::error_response::{response, took_too_long};
use crate::lambda::event::{Event, Payload, none_of_these};
use crate::lambda::event_format::EventFormat;
use crate::lambda::response_json::response_json;
use crate::lambda::self_check::SelfChecks;
use crate::lambda::service::{finish, for_context, stage_span};
use crate::lambda::streamed_body::Streamed;
use crate::log_line::with_causes;

type BoxError = Box<dyn StdError + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The response to an invocation, as JSON. It is serialized here, where a value that has no JSON
/// is one response's failure.
pub(super) type Reply = Result<Box<RawValue>, EventRefused>;

/// The service of all events around one of requests.
#[derive(Clone)]
pub(super) struct Events<S> {
    service: S,
    on_event: EventHandler,
    self_checks: SelfChecks,
}

impl<S> Events<S> {
    pub(super) fn new(service: S, on_event: EventHandler, self_checks: &SelfChecks) -> Self {
        Self {
            service,
            on_event,
            self_checks: self_checks.clone(),
        }
    }
}

impl<S> Service<LambdaEvent<Payload>> for Events<S>
where
    S: Service<
            Request,
            Response = Response<Body>,
            Error = Infallible,
            Future = BoxFuture<Result<Response<Body>, Infallible>>,
        >,
{
    type Response = Box<RawValue>;
    type Error = EventRefused;
    type Future = BoxFuture<Reply>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), EventRefused>> {
        self.service.poll_ready(cx).map_err(|never| match never {})
    }

    fn call(&mut self, event: LambdaEvent<Payload>) -> Self::Future {
        let (payload, context) = event.into_parts();
        let (format, request) = match payload {
            Payload::Other(payload) => {
                return match self.self_checks.invoked(&context) {
                    Some(report) => Box::pin(async { report.await.ok_or_else(unfinished) }),
                    None => self.on_event.handle(payload, context),
                };
            }
            Payload::Request(format, request) => (format, request),
        };
        let answer = match request {
            Ok(request) => {
                let request = with_context(*request, context);
                match self.self_checks.requested(&request) {
                    Some(report) => Box::pin(async { Ok(report.await) }),
                    None => self.service.call(request),
                }
            }
            Err(problem) => Box::pin(std::future::ready(Ok(response(&problem)))),
        };
        Box::pin(reply(format, answer))
    }
}

async fn reply(
    format: EventFormat,
    answer: BoxFuture<Result<Response<Body>, Infallible>>,
) -> Reply {
    let Ok(answer) = answer.await;
    let written = response_json(format, &answer);
    written.map_err(|_| EventRefused("the response has no JSON".to_owned()))
}

/// The service of all events around one of requests with streamed responses.
#[derive(Clone)]
pub(super) struct Streams<S> {
    service: S,
    self_checks: SelfChecks,
}

impl<S> Streams<S> {
    pub(super) fn new(service: S, self_checks: &SelfChecks) -> Self {
        Self {
            service,
            self_checks: self_checks.clone(),
        }
    }
}

/// The response of a function whose responses are streamed.
pub(super) enum StreamsReply<B> {
    /// To an HTTP request.
    Response(Box<Response<Streamed<B>>>),
    /// To a self-check by a direct Invoke, as JSON that is not streamed.
    Report(Box<RawValue>),
}

impl<S, B> Service<LambdaEvent<Payload>> for Streams<S>
where
    S: Service<
            Request,
            Response = Response<Streamed<B>>,
            Error = Infallible,
            Future = BoxFuture<Result<Response<Streamed<B>>, Infallible>>,
        >,
    B: Send + 'static,
{
    type Response = StreamsReply<B>;
    type Error = EventRefused;
    type Future = BoxFuture<Result<Self::Response, EventRefused>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), EventRefused>> {
        self.service.poll_ready(cx).map_err(|never| match never {})
    }

    fn call(&mut self, event: LambdaEvent<Payload>) -> Self::Future {
        let (payload, context) = event.into_parts();
        let answer = match payload {
            Payload::Other(payload) => {
                return match self.self_checks.invoked(&context) {
                    Some(report) => Box::pin(async {
                        let report = report.await.ok_or_else(unfinished)?;
                        Ok(StreamsReply::Report(report))
                    }),
                    None => Box::pin(refused(&payload)),
                };
            }
            Payload::Request(_, Ok(request)) => {
                let request = with_context(*request, context);
                match self.self_checks.requested(&request) {
                    Some(report) => Box::pin(async { Ok(report.await.map(Streamed::whole)) }),
                    None => self.service.call(request),
                }
            }
            Payload::Request(_, Err(problem)) => {
                let response = response(&problem).map(Streamed::whole);
                Box::pin(std::future::ready(Ok(response)))
            }
        };
        Box::pin(async {
            let Ok(answer) = answer.await;
            Ok(StreamsReply::Response(Box::new(answer)))
        })
    }
}

/// Adds the context of an invocation to its request.
fn with_context(mut request: Request, context: Context) -> Request {
    let trace_id = context.xray_trace_id.as_deref();
    if let Some(Ok(trace_id)) = trace_id.map(HeaderValue::from_str) {
        let name = HeaderName::from_static("x-amzn-trace-id");
        request.headers_mut().try_insert(name, trace_id).ok();
    }
    request.with_lambda_context(context)
}

/// The function's handler of events that are no requests, if it has one.
#[derive(Clone)]
pub(super) struct EventHandler(Option<(Arc<Handle>, Databases)>);

type Handle = dyn Fn(Event) -> BoxFuture<Result<Box<RawValue>, BoxError>> + Send + Sync;

impl EventHandler {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn new<F, Fut, R, E>(on_event: F, databases: &Databases) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Serialize,
        E: Into<BoxError>,
    {
        let handle = move |event| -> BoxFuture<Result<Box<RawValue>, BoxError>> {
            let handled = on_event(event);
            Box::pin(async {
                let result = handled.await.map_err(Into::into)?;
                Ok(to_raw_value(&result)?)
            })
        };
        Self(Some((Arc::new(handle), databases.clone())))
    }

    fn handle(&self, payload: Box<RawValue>, context: Context) -> BoxFuture<Reply> {
        let Some((handle, databases)) = &self.0 else {
            return Box::pin(refused(&payload));
        };
        let (database, deadline) = for_context(databases, Some(&context));
        let span = stage_span(&database);
        let handle = Arc::clone(handle);
        let event = Event::new(payload, context, database.clone());
        let handled = async move {
            let handled = AssertUnwindSafe(async { handle(event).await }).catch_unwind();
            let handled = match deadline {
                None => Ok(handled.await),
                Some(deadline) => timeout_at(deadline.handler, handled).await,
            };
            let reply = match handled {
                Ok(Ok(Ok(result))) => Ok(result),
                Ok(Ok(Err(error))) => {
                    tracing::error!(reason = %with_causes(&*error), "an event could not be handled");
                    Err(EventRefused(FAILED.to_owned()))
                }
                // A panic's message is in the log already.
                Ok(Err(_)) => Err(EventRefused(FAILED.to_owned())),
                Err(_) => {
                    took_too_long();
                    Err(EventRefused(
                        "the handler of this event took too long".to_owned(),
                    ))
                }
            };
            finish(&database, deadline).await;
            reply
        };
        Box::pin(handled.instrument(span))
    }
}

const FAILED: &str = "this event could not be handled; the reason is in the function's log";

fn refused<T>(payload: &RawValue) -> std::future::Ready<Result<T, EventRefused>> {
    std::future::ready(Err(EventRefused(none_of_these(payload.get()))))
}

/// The failure of an invocation, in words that its caller may read. It is logged as it is sent.
pub(super) struct EventRefused(String);

impl EventRefused {
    /// The failure of an invocation whose event cannot be read. The reason repeats no part of it.
    pub(super) fn no_json(reason: &serde_json::Error) -> Self {
        Self(format!("the event is no JSON: {reason}"))
    }
}

/// The failure of a self-check that its invocation left no time for.
fn unfinished() -> EventRefused {
    EventRefused("the self-check took too long".to_owned())
}

impl fmt::Debug for EventRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<EventRefused> for Diagnostic {
    fn from(refused: EventRefused) -> Self {
        Self {
            error_type: "stagelink.EventRefused".to_owned(),
            error_message: refused.0,
        }
    }
}
