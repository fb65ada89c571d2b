//! The loop that serves a function on AWS Lambda, and so on Netlify.

mod error_response;
mod event;
mod service;
mod shutdown;
mod snapstart;
mod streaming;

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use lambda_http::lambda_runtime::Runtime;
use lambda_http::lambda_runtime::layers::TracingLayer;
use lambda_http::{Adapter, IntoResponse, Request, StreamAdapter};
use tower_service::Service;

use crate::database::{Database, Databases};
use crate::lambda::shutdown::run_until_shutdown;

use self::event::Events;
use self::service::HandlerService;
use self::snapstart::Snapshot;
use self::streaming::Streaming;

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
/// balancers. Any other event is answered with an error, and the loop goes on.
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
/// no subscriber: call `lambda_http::tracing::init_default_subscriber()` in `main`.
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
    let databases = linked().await?;
    let service = HandlerService::new(handler.into_service(), &databases);
    let runtime = Runtime::new(Events(Adapter::from(service)))
        .layer(TracingLayer::new())
        .register_snapstart_resource(Arc::new(Snapshot(databases.clone())));
    served(runtime.run(), &databases).await
}

/// Serves a function on AWS Lambda Managed Instances, where one process serves several
/// invocations at a time: `AWS_LAMBDA_MAX_CONCURRENCY` of them.
///
/// The handler is cloned for each. They share a pool of as many connections, or
/// `STAGELINK_POOL_SIZE`, and wait for a free one. Without `AWS_LAMBDA_MAX_CONCURRENCY`, or with
/// the value `1`, this is [`run`], so that one program serves both.
///
/// The variable `_X_AMZN_TRACE_ID` of the environment is not set for an invocation; the trace id
/// is in the request's `lambda_context`.
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
    let databases = linked().await?;
    let service = HandlerService::new(handler.into_service(), &databases);
    let runtime = Runtime::new(Events(Adapter::from(service)))
        .layer(TracingLayer::new())
        .register_snapstart_resource(Arc::new(Snapshot(databases.clone())));
    served(runtime.run_concurrent(), &databases).await
}

/// Serves a function whose responses are sent while they are produced, such as a large result of
/// [`Database::rows`]: for function URLs with the invoke mode `RESPONSE_STREAM`, and other callers
/// of Lambda's streamed responses.
///
/// The body is any [`http_body::Body`] and keeps its connection until it ends. A body that runs
/// out of time is broken off at the moment at which a handler would be dropped; so is a body that
/// fails or panics, and the reason is logged. The client sees an incomplete response and no
/// reason, since the status was sent before.
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
    let databases = linked().await?;
    let service = Streaming::new(handler.into_service(), &databases);
    let runtime = Runtime::new(Events(StreamAdapter::from(service)))
        .layer(TracingLayer::new())
        .register_snapstart_resource(Arc::new(Snapshot(databases.clone())));
    served(runtime.run_concurrent(), &databases).await
}

/// Makes the databases of this process, and opens a connection where the stage is known.
async fn linked() -> Result<Databases, lambda_http::Error> {
    if !crate::config::started_by_lambda() {
        return Err(
            "this is a function for AWS Lambda or Netlify and waits for their runtime \
             (AWS_LAMBDA_RUNTIME_API is not set): `stagelink dev` runs it on this machine"
                .into(),
        );
    }
    let databases = Databases::from_env();
    if let Some(database) = databases.named() {
        warm_up(database, "before the first request").await;
    }
    Ok(databases)
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
    let failure = match tokio::time::timeout(WARM_UP_LIMIT, database.warm_up()).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.report().to_string(),
        Err(_) => format!("it took more than {} s", WARM_UP_LIMIT.as_secs()),
    };
    tracing::warn!(reason = failure, "could not connect {when}");
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
