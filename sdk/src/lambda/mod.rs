//! The loop that serves a function on AWS Lambda, and so on Netlify.

mod adapter;
mod error_response;
mod event;
mod event_format;
mod handler_timer;
mod http_event;
#[cfg(feature = "testing")]
mod in_process;
#[cfg(feature = "testing")]
mod in_process_stream;
mod invocation_context;
mod log_subscriber;
#[cfg(feature = "testing")]
mod rehearsal;
mod reply;
mod request_context;
mod request_target;
mod response_body;
mod response_json;
mod runtime_api;
mod self_check;
mod service;
mod shutdown;
mod snapstart;
mod streamed_body;
mod streamed_reply;
mod streaming;

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use lambda_http::lambda_runtime::layers::TracingLayer;
use lambda_http::tower::Layer as _;
use lambda_http::{IntoResponse, Request};
use serde::Serialize;
use tower_service::Service;
use tracing::Instrument as _;

use crate::database::{Database, Databases};
use crate::lambda::shutdown::run_until_shutdown;
use crate::local_spans;

use self::adapter::{EventHandler, Events, Streams};
use self::reply::Replies;
use self::runtime_api::RuntimeApi;
use self::self_check::SelfChecks;
use self::service::{HandlerService, stage_span};
use self::snapstart::pass_snapshot;
use self::streaming::Streaming;

pub use self::event::Event;
#[cfg(feature = "testing")]
pub use self::in_process::InProcessFunction;
#[cfg(feature = "testing")]
pub use self::in_process_stream::{InProcessResponse, InProcessStreamingFunction};
pub use self::log_subscriber::init_log_subscriber;
#[cfg(feature = "testing")]
pub(crate) use self::rehearsal::rehearse_event;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Serves a function: a plain `async fn` from a request to a response, or any
/// tower service such as an axum `Router`.
///
/// ```no_run
/// use lambda_http::{Error, IntoResponse, Request};
///
/// async fn handle(request: Request) -> Result<impl IntoResponse, stagelink::Error> {
///     let db = stagelink::client(&request).await?;
///     let row = db.query_one("SELECT now()::text", &[]).await?;
///     Ok(row.get::<_, String>(0))
/// }
///
/// #[tokio::main]
/// async fn main() -> Result<(), Error> {
///     stagelink::run(handle).await
/// }
/// ```
///
/// Requests come from Netlify, API Gateway (REST and HTTP APIs), function URLs and load
/// balancers. Any other event is answered with an error, and the loop goes on;
/// [`run_with_events`] serves such events too.
///
/// A request has the path and query of its event, in the order and spelling in which they were
/// sent where the event tells; a character that a URL cannot hold is escaped, and what no HTTP
/// request can hold is answered 400. A header that cannot be sent in HTTP is left out. Of several
/// proxies in `X-Forwarded-Proto` the first one's scheme is taken.
///
/// The stage is the one that `STAGELINK_STAGE` names, or that the invoked alias is named after:
/// see [`Databases`]. Where the variable names it, the first connection is opened before the
/// first request, during the initialisation, when AWS Lambda gives a function most CPU. Where
/// that fails a warning is logged, and each request tries again.
///
/// A handler may return any error. A [`Problem`](crate::Problem) or an [`Error`](crate::Error),
/// also as the cause of another error, becomes its response; any other error becomes a 500
/// without a reason, and so does a panic. A handler that runs out of time is dropped, and the
/// client gets a 504 200 ms before the platform would kill the function, or somewhat later in an
/// invocation of less than 1.2 s. Each failure is logged once, at the level `ERROR`. This installs
/// no subscriber: call `stagelink::init_log_subscriber()` in `main`.
///
/// The trace id of an invocation is in the request's `lambda_context` and in its header
/// `X-Amzn-Trace-Id`. The variable `_X_AMZN_TRACE_ID` is not set: a process of several threads
/// cannot change its environment safely.
///
/// On `SIGTERM` the connections are closed in good order, and this returns. With SnapStart they
/// are closed before the snapshot, and never used again; one is opened after each restore. (AWS's
/// documentation does not say if SnapStart covers functions with an OS-only runtime, 2026-11.)
///
/// # Errors
///
/// When the process was not started by a Lambda runtime, or the Runtime API
/// cannot be reached. Errors of the handler never end the loop.
pub async fn run<H, M>(handler: H) -> Result<(), lambda_http::Error>
where
    H: IntoService<M>,
    <H::Service as Service<Request>>::Response: IntoResponse + 'static,
    <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
    <H::Service as Service<Request>>::Future: Send + 'static,
{
    let (api, databases, self_checks) = start().await?;
    let service = HandlerService::new(handler.into_service(), &databases);
    let events = Events::new(service, EventHandler::none(), &self_checks);
    let service = TracingLayer::new().layer(Replies::new(&api, events));
    if crate::config::lambda_concurrency() > 1 {
        tracing::warn!(
            "AWS_LAMBDA_MAX_CONCURRENCY is set, and stagelink::run serves one request at a time: \
             use stagelink::run_concurrent"
        );
    }
    served(api.serve(service), &databases).await
}

/// Serves a function on AWS Lambda Managed Instances, where one process serves several
/// invocations at a time: `AWS_LAMBDA_MAX_CONCURRENCY` of them.
///
/// The handler is cloned for each. They share a pool of as many connections, or
/// `STAGELINK_POOL_SIZE`, and wait for a free one. Without `AWS_LAMBDA_MAX_CONCURRENCY`, or with
/// the value `1`, this is [`run`], so that one program serves both.
///
/// # Errors
///
/// As [`run`].
pub async fn run_concurrent<H, M>(handler: H) -> Result<(), lambda_http::Error>
where
    H: IntoService<M>,
    H::Service: Clone + Send + 'static,
    <H::Service as Service<Request>>::Response: IntoResponse + 'static,
    <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
    <H::Service as Service<Request>>::Future: Send + 'static,
{
    serve_concurrently(handler, |_| EventHandler::none()).await
}

/// Serves a function that requests and other events reach: schedules, queues, pings.
///
/// `on_event` gets each event that is no HTTP request, with the database of its stage. Its result,
/// as JSON, is the response to the invocation, so that a ping does not count as an error. An error
/// fails the invocation, whose caller may try again, as queues and schedules do; the error's text
/// is in the log alone, and it is no response to a client. A handler that panics or runs out of
/// time fails its invocation too.
///
/// ```no_run
/// use lambda_http::{Error, Request};
/// use serde_json::{Value, json};
/// use stagelink::Event;
///
/// async fn handle(request: Request) -> Result<String, stagelink::Error> {
///     let db = stagelink::client(&request).await?;
///     let row = db.query_typed_one("SELECT now()::text", &[]).await?;
///     Ok(row.get(0))
/// }
///
/// async fn on_event(event: Event) -> Result<Value, stagelink::Error> {
///     let db = event.database().client().await?;
///     db.execute("DELETE FROM drafts WHERE created < now() - interval '1 day'", &[]).await?;
///     Ok(json!({}))
/// }
///
/// #[tokio::main]
/// async fn main() -> Result<(), Error> {
///     stagelink::run_with_events(handle, on_event).await
/// }
/// ```
///
/// In an environment of several invocations at a time it serves them as [`run_concurrent`].
///
/// # Errors
///
/// As [`run`].
pub async fn run_with_events<H, M, F, Fut, R, E>(
    handler: H,
    on_event: F,
) -> Result<(), lambda_http::Error>
where
    H: IntoService<M>,
    H::Service: Clone + Send + 'static,
    <H::Service as Service<Request>>::Response: IntoResponse + 'static,
    <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
    <H::Service as Service<Request>>::Future: Send + 'static,
    F: Fn(Event) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Serialize,
    E: Into<BoxError>,
{
    serve_concurrently(handler, |databases| EventHandler::new(on_event, databases)).await
}

/// Serves a function whose responses are sent while they are produced, such as a large result of
/// [`Database::rows`]: for function URLs with the invoke mode `RESPONSE_STREAM`, and other callers
/// of Lambda's streamed responses.
///
/// The body is any [`http_body::Body`] and keeps its connection until it ends. A body that runs
/// out of time is broken off at the moment at which a handler would be dropped, also while its
/// client does not read it; so is a body that fails or panics: Lambda is told that the response is
/// not whole, and the log has the reason. The client sees an incomplete response and no reason,
/// since the status was sent before. A body that is broken off is dropped, so it has to be cancel
/// safe, as [`Database::rows`] is.
///
/// In an environment of several invocations at a time it serves them as [`run_concurrent`].
///
/// # Errors
///
/// As [`run`].
pub async fn run_with_streaming_response<H, M, B>(handler: H) -> Result<(), lambda_http::Error>
where
    H: IntoService<M>,
    H::Service: Service<Request, Response = Response<B>> + Clone + Send + 'static,
    <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
    <H::Service as Service<Request>>::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    let (api, databases, self_checks) = start().await?;
    let service = Streaming::new(handler.into_service(), &databases);
    let streams = Streams::new(service, &self_checks);
    let service = TracingLayer::new().layer(Replies::new(&api, streams));
    let workers = crate::config::lambda_concurrency();
    served(api.serve_concurrently(service, workers), &databases).await
}

/// Serves requests, and other events by their handler if there is one, several at a time.
async fn serve_concurrently<H, M>(
    handler: H,
    on_event: impl FnOnce(&Databases) -> EventHandler,
) -> Result<(), lambda_http::Error>
where
    H: IntoService<M>,
    H::Service: Clone + Send + 'static,
    <H::Service as Service<Request>>::Response: IntoResponse + 'static,
    <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
    <H::Service as Service<Request>>::Future: Send + 'static,
{
    let (api, databases, self_checks) = start().await?;
    let service = HandlerService::new(handler.into_service(), &databases);
    let events = Events::new(service, on_event(&databases), &self_checks);
    let service = TracingLayer::new().layer(Replies::new(&api, events));
    let workers = crate::config::lambda_concurrency();
    served(api.serve_concurrently(service, workers), &databases).await
}

/// Makes the databases of this process, opens a connection where the stage is known, and waits for
/// the restore if Lambda takes a snapshot.
async fn start() -> Result<(RuntimeApi, Databases, SelfChecks), lambda_http::Error> {
    let Some(address) = crate::config::lambda_runtime_api() else {
        return Err(
            "this is a function for AWS Lambda or Netlify and waits for their runtime \
             (AWS_LAMBDA_RUNTIME_API is not set): `stagelink dev` runs it on this machine"
                .into(),
        );
    };
    if crate::config::asks_for_local_spans() {
        local_spans::enable();
    }
    let databases = Databases::from_env();
    if let Some(database) = databases.named() {
        warm_up(database, "before the first request").await;
    }
    if crate::config::has_snapstart() {
        pass_snapshot(&RuntimeApi::new(&address), &databases).await?;
    }
    let self_checks = SelfChecks::new(crate::config::self_check_key(), &databases);
    Ok((RuntimeApi::new(&address), databases, self_checks))
}

/// Serves until the process is told to end.
async fn served(
    serving: impl Future<Output = Result<(), lambda_http::Error>>,
    databases: &Databases,
) -> Result<(), lambda_http::Error> {
    match run_until_shutdown(serving).await {
        Some(served) => served,
        None => {
            databases.close().await;
            Ok(())
        }
    }
}

/// Opens a connection for the first request. A failure is logged only.
async fn warm_up(database: &Database, when: &str) {
    let span = stage_span(database);
    let warmed_up = database.warm_up().instrument(span.clone());
    let failure = match tokio::time::timeout(WARM_UP_LIMIT, warmed_up).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.report().to_string(),
        Err(_) => format!("it took more than {} s", WARM_UP_LIMIT.as_secs()),
    };
    span.in_scope(|| tracing::warn!(reason = failure, "could not connect {when}"));
}

/// Lambda ends a function whose start, or restore, takes more than 10 s.
const WARM_UP_LIMIT: Duration = Duration::from_secs(9);

/// A handler that [`run`] and the like serve: a plain async function or a tower service.
///
/// `M` only tells the two apart and is always inferred.
pub trait IntoService<M> {
    /// The tower service of the handler.
    type Service: Service<Request>;

    /// Turns the handler into its service.
    fn into_service(self) -> Self::Service;
}

/// Marks a plain async function.
#[derive(Debug)]
pub enum AsyncFn {}

/// Marks a tower service.
#[derive(Debug)]
pub enum TowerService {}

impl<F, Fut, R, E> IntoService<(AsyncFn, Fut)> for F
where
    F: FnMut(Request) -> Fut,
    Fut: Future<Output = Result<R, E>>,
{
    type Service = lambda_http::tower::util::ServiceFn<F>;

    fn into_service(self) -> Self::Service {
        lambda_http::service_fn(self)
    }
}

impl<S: Service<Request>> IntoService<TowerService> for S {
    type Service = S;

    fn into_service(self) -> S {
        self
    }
}
