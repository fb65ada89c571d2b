//! A function in the process of its test, invoked by the events and the headers of Lambda.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use http::{HeaderMap, Response};
use lambda_http::lambda_runtime::{Config, Diagnostic};
use lambda_http::{Body, IntoResponse, LambdaEvent, Request};
use serde::Serialize;
use tokio::sync::Mutex;
use tower_service::Service;

use crate::database::{Database, Databases};
use crate::lambda::IntoService;
use crate::lambda::adapter::{EventHandler, Events, Reply};
use crate::lambda::event::{Event, Payload};
use crate::lambda::invocation_context::invocation_context;
use crate::lambda::self_check::SelfChecks;
use crate::lambda::service::HandlerService;

type BoxError = Box<dyn StdError + Send + Sync>;
type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;
type Answer = BoxFuture<Result<Response<Body>, Infallible>>;

/// A function in the process of its test: a handler with all that [`run`](crate::run) puts around
/// it, but for the requests to the Lambda Runtime API.
///
/// An event becomes a request by the same code as in a deployed function, the handler has the same
/// deadlines, and its errors become the same responses. As an instance on AWS Lambda it serves one
/// invocation at a time. Clones are the same function.
#[derive(Clone)]
pub struct InProcessFunction {
    call: Arc<Mutex<Call>>,
}

type Call = dyn FnMut(LambdaEvent<Payload>) -> BoxFuture<Reply> + Send;

impl InProcessFunction {
    /// Makes the function that `stagelink::run(handler)` serves, with this database.
    pub fn new<H, M>(handler: H, database: &Database) -> Self
    where
        H: IntoService<M>,
        H::Service: Send + 'static,
        <H::Service as Service<Request>>::Response: IntoResponse + 'static,
        <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
        <H::Service as Service<Request>>::Future: Send + 'static,
    {
        let databases = Databases::from(database.clone());
        Self::of(handler, EventHandler::none(), &databases)
    }

    /// Makes the function that `stagelink::run_with_events(handler, on_event)` serves, with this
    /// database.
    pub fn with_events<H, M, F, Fut, R, E>(handler: H, on_event: F, database: &Database) -> Self
    where
        H: IntoService<M>,
        H::Service: Send + 'static,
        <H::Service as Service<Request>>::Response: IntoResponse + 'static,
        <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
        <H::Service as Service<Request>>::Future: Send + 'static,
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Serialize,
        E: Into<BoxError>,
    {
        let databases = Databases::from(database.clone());
        let on_event = EventHandler::new(on_event, &databases);
        Self::of(handler, on_event, &databases)
    }

    fn of<H, M>(handler: H, on_event: EventHandler, databases: &Databases) -> Self
    where
        H: IntoService<M>,
        H::Service: Send + 'static,
        <H::Service as Service<Request>>::Response: IntoResponse + 'static,
        <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
        <H::Service as Service<Request>>::Future: Send + 'static,
    {
        let service = HandlerService::new(handler.into_service(), databases);
        let self_checks = SelfChecks::new(None, databases);
        let mut events = Events::new(Boxed(Box::new(service)), on_event, &self_checks);
        Self {
            call: Arc::new(Mutex::new(move |event| events.call(event))),
        }
    }

    /// Invokes the function with an event, and the headers that the Lambda Runtime API sends with
    /// it, such as `lambda-runtime-deadline-ms`. Returns its response as the JSON that Lambda gets.
    ///
    /// # Errors
    ///
    /// The message that the caller of an invocation gets that has failed, as for an event that is
    /// no HTTP request without a handler of such events.
    pub async fn invoke(&self, event: &str, headers: &HeaderMap) -> Result<String, String> {
        let payload: Payload = serde_json::from_str(event)
            .map_err(|error| format!("the event is no JSON: {error}"))?;
        let context = invocation_context(headers, &Arc::new(Config::default()))
            .ok_or("the header lambda-runtime-aws-request-id is missing")?;
        let mut call = self.call.lock().await;
        match call(LambdaEvent::new(payload, context)).await {
            Ok(response) => Ok(response.get().to_owned()),
            Err(refused) => Err(Diagnostic::from(refused).error_message),
        }
    }
}

impl fmt::Debug for InProcessFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessFunction").finish_non_exhaustive()
    }
}

/// A handler's service, whatever its type.
struct Boxed(
    Box<
        dyn Service<Request, Response = Response<Body>, Error = Infallible, Future = Answer> + Send,
    >,
);

impl Service<Request> for Boxed {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.0.call(request)
    }
}
