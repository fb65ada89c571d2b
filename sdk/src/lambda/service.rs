//! The service around a handler: it passes the database, keeps the deadline and answers errors.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use futures_util::future::CatchUnwind;
use http::Response;
use lambda_http::{Body, Context as LambdaContext, IntoResponse, Request, RequestExt as _};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;
use tracing::{Instrument as _, Span};

use crate::database::{Database, Databases};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::lambda::error_response::{failed, respond, response, took_too_long};
use crate::lambda::handler_timer::HandlerTimer;
use crate::lambda::invocation_context::UNKNOWN_DEADLINE;
use crate::lambda::response_body;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Puts the database of its invocation into every request, and turns every error into a response.
#[derive(Clone)]
pub(super) struct HandlerService<S> {
    service: S,
    databases: Databases,
    timer: HandlerTimer,
}

impl<S> HandlerService<S> {
    pub(super) fn new(service: S, databases: &Databases) -> Self {
        Self {
            service,
            databases: databases.clone(),
            timer: HandlerTimer::default(),
        }
    }
}

impl<S> Service<Request> for HandlerService<S>
where
    S: Service<Request>,
    S::Response: IntoResponse + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A service that is never ready would answer no request again; the call answers its
        // error instead.
        match self.service.poll_ready(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let (database, deadline) = linked(&self.databases, &mut request);
        let span = stage_span(&database);
        let called = span.in_scope(|| called(&mut self.service, request));
        let timer = self.timer.clone();
        let answered = async move {
            let answer = async {
                let Ok(called) = called else {
                    return response_to_panic();
                };
                let answered = match called.await {
                    Ok(Ok(response)) => {
                        let collect = AssertUnwindSafe(|| response_body::convert(response));
                        catch_unwind(collect).map_err(|_| response_to_panic())
                    }
                    Ok(Err(error)) => Err(respond(&*error.into())),
                    Err(_) => Err(response_to_panic()),
                };
                match answered {
                    // A body that fails panics as it is collected.
                    Ok(collected) => {
                        let collected = AssertUnwindSafe(collected).catch_unwind().await;
                        collected.unwrap_or_else(|_| response_to_panic())
                    }
                    Err(response) => response,
                }
            };
            // A handler that is given up here is dropped before the cleanup.
            let response = match deadline {
                None => answer.await,
                Some(deadline) => {
                    let answered = timer.timeout_at(deadline.handler, answer).await;
                    answered.unwrap_or_else(took_too_long)
                }
            };
            finish(&database, deadline).await;
            Ok(response)
        };
        Box::pin(answered.instrument(span))
    }
}

/// Calls a handler. A panic, also one before there is a future, is its result: its message is in
/// the log already, and the Lambda runtime would put it into its response. The future is boxed at
/// once, since it is as large as the handler and would be moved about.
pub(super) fn called<S>(service: &mut S, request: Request) -> Result<Called<S::Future>, Panicked>
where
    S: Service<Request>,
{
    let future = catch_unwind(AssertUnwindSafe(|| service.call(request))).map_err(|_| Panicked)?;
    Ok(Box::pin(AssertUnwindSafe(future).catch_unwind()))
}

type Called<F> = Pin<Box<CatchUnwind<AssertUnwindSafe<F>>>>;

/// A handler has panicked before it returned a future.
pub(super) struct Panicked;

pub(super) fn response_to_panic() -> Response<Body> {
    response(&failed())
}

/// Finishes the invocation's work, within its deadline.
pub(super) async fn finish(database: &Database, deadline: Option<Deadline>) {
    if database.is_settled() {
        return;
    }
    match deadline {
        None => database.finish_invocation().await,
        Some(deadline) => {
            timeout_at(deadline.tidying, database.finish_invocation())
                .await
                .ok();
        }
    }
}

/// Returns the span of an invocation's log lines, which names the stage.
pub(super) fn stage_span(database: &Database) -> Span {
    match database.stage() {
        Ok(stage) => tracing::info_span!("invocation", %stage),
        Err(_) => Span::none(),
    }
}

/// Puts the database of its invocation into a request, and returns it with its deadline.
pub(super) fn linked(databases: &Databases, request: &mut Request) -> (Database, Option<Deadline>) {
    let (database, deadline) = for_context(databases, request.lambda_context_ref());
    request.extensions_mut().insert(database.clone());
    (database, deadline)
}

/// Returns the database of an invocation, with its deadline.
pub(super) fn for_context(
    databases: &Databases,
    context: Option<&LambdaContext>,
) -> (Database, Option<Deadline>) {
    let deadline = context.and_then(deadline);
    let arn = context.map_or("", |context| context.invoked_function_arn.as_str());
    let database = for_invocation(databases.for_function_arn(arn), deadline);
    (database, deadline)
}

/// Returns a database with the deadline of its invocation.
pub(super) fn for_invocation(
    database: Result<&Database, Error>,
    deadline: Option<Deadline>,
) -> Database {
    match (database, deadline) {
        (Ok(database), Some(deadline)) => database.for_invocation(deadline),
        (Ok(database), None) => database.clone(),
        (Err(error), _) => Database::new(Err(error)),
    }
}

/// Returns the deadline of an invocation that the platform ends.
pub(super) fn deadline(context: &LambdaContext) -> Option<Deadline> {
    if context.deadline == UNKNOWN_DEADLINE {
        return None;
    }
    let ends = UNIX_EPOCH.checked_add(Duration::from_millis(context.deadline))?;
    Some(Deadline::of_invocation(
        ends,
        SystemTime::now(),
        Instant::now(),
    ))
}

#[cfg(test)]
mod tests {
    use axum::extract::Extension;
    use axum::routing::get;
    use http::StatusCode;

    use super::*;
    use crate::error::ErrorKind;
    use crate::lambda::IntoService;
    use crate::problem::Problem;

    async fn answer<H, M>(handler: H) -> Response<Body>
    where
        H: IntoService<M>,
        <H::Service as Service<Request>>::Response: IntoResponse + 'static,
        <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
        <H::Service as Service<Request>>::Future: Send + 'static,
    {
        let database = Database::new(Err(Error::new(ErrorKind::Stage, "no stage, c4n4ry")));
        let mut linked = HandlerService::new(handler.into_service(), &Databases::from(database));
        let Ok(response) = linked.call(Request::new(Body::Empty)).await;
        response
    }

    fn text(response: &Response<Body>) -> &str {
        std::str::from_utf8(response.body()).unwrap()
    }

    #[tokio::test]
    async fn async_fn_is_served() {
        let response = answer(|_: Request| async { Ok::<_, Infallible>("hello") }).await;
        assert_eq!(
            (response.status().as_u16(), text(&response)),
            (200, "hello")
        );
    }

    #[tokio::test]
    async fn axum_router_is_served_and_finds_its_link() {
        let stage = |Extension(database): Extension<Database>| async move {
            format!("{:?}", database.stage())
        };
        let response = answer(axum::Router::new().route("/", get(stage))).await;
        assert_eq!(response.status(), 200);
        assert!(text(&response).contains("Stage"));
    }

    #[tokio::test]
    async fn own_error_becomes_its_public_message() {
        async fn handler(request: Request) -> Result<&'static str, Error> {
            crate::client(&request).await?;
            Ok("unreachable")
        }
        let response = answer(handler).await;
        assert_eq!(response.status(), 500);
        assert!(text(&response).contains("not set up for a stage"));
        assert!(!text(&response).contains("c4n4ry"));
    }

    #[derive(Debug)]
    struct Wrapped(Error);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("could not list the guests")
        }
    }

    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[tokio::test]
    async fn own_error_beneath_another_is_found() {
        async fn handler(request: Request) -> Result<&'static str, Wrapped> {
            crate::client(&request).await.map_err(Wrapped)?;
            Ok("unreachable")
        }
        assert!(text(&answer(handler).await).contains("not set up for a stage"));
    }

    #[tokio::test]
    async fn problem_becomes_its_response() {
        let fail = |_: Request| async {
            Err::<String, _>(Problem::new(StatusCode::CONFLICT, "There is one already."))
        };
        assert_eq!(answer(fail).await.status(), 409);
    }

    #[tokio::test]
    async fn other_error_becomes_a_500_without_its_text() {
        let fail = |_: Request| async { Err::<String, BoxError>("c4n4ry".into()) };
        let response = answer(fail).await;
        assert_eq!(response.status(), 500);
        assert!(!text(&response).contains("c4n4ry"));
    }

    #[tokio::test]
    async fn panic_becomes_a_500_without_its_text() {
        let fail = |_: Request| async {
            if true {
                panic!("c4n4ry");
            }
            Ok::<_, Infallible>("")
        };
        let response = answer(fail).await;
        assert_eq!(response.status(), 500);
        assert!(!text(&response).contains("c4n4ry"));
    }

    #[tokio::test]
    async fn panic_before_there_is_a_future_becomes_a_500_too() {
        let fail = |_: Request| {
            if true {
                panic!("c4n4ry");
            }
            async { Ok::<_, Infallible>("") }
        };
        let response = answer(fail).await;
        assert_eq!(response.status(), 500);
        assert!(!text(&response).contains("c4n4ry"));
    }

    #[tokio::test]
    async fn body_that_fails_becomes_a_500_without_its_text() {
        use futures_util::stream;
        use http_body_util::StreamBody;
        let fail = |_: Request| async {
            let part = Err::<http_body::Frame<bytes::Bytes>, BoxError>("c4n4ry".into());
            Ok::<_, Infallible>(Response::new(StreamBody::new(stream::iter([part]))))
        };
        let response = answer(fail).await;
        assert_eq!(response.status(), 500);
        assert!(!text(&response).contains("c4n4ry"));
    }

    #[tokio::test]
    async fn request_from_elsewhere_carries_no_link() {
        let error = crate::client(&Request::new(Body::Empty)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(error.to_string().contains("stagelink::run"));
    }
}
