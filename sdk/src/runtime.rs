//! The loop that serves a function on AWS Lambda, and so on Netlify.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use http::{Response, StatusCode};
use lambda_http::{Body, IntoResponse, Request, RequestExt as _};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use crate::deadline::Deadline;
use crate::ending::until_told_to_end;
use crate::error::Error;
use crate::link::Link;
use crate::problem::Problem;

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
/// The first connection is opened before the first request is taken, in the
/// part of a function's life in which AWS Lambda gives it most CPU. Where that
/// fails a warning is logged, and the requests get their own try and answer.
///
/// A handler may return any error. A [`Problem`] or an [`Error`], also as the
/// cause of another, becomes its response; anything else becomes a 500 without a
/// reason, and so does a panic. A handler that takes as long as the invocation may last is
/// dropped, and the client gets a 504 before the platform would kill the function: 200 ms
/// before that, or somewhat later in an invocation of less than 1.2 s. What the operator must
/// know is logged once, at the level `ERROR`. No subscriber is installed here:
/// `lambda_http::tracing::init_default_subscriber()` is one line in `main`.
///
/// On `SIGTERM` the connections are closed in good order, and this returns.
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
    if !crate::settings::started_by_lambda() {
        return Err(
            "this is a function for AWS Lambda or Netlify and waits for their runtime \
             (AWS_LAMBDA_RUNTIME_API is not set): `stagelink dev` runs it on this machine"
                .into(),
        );
    }
    let link = Link::from_env();
    warm_up(&link).await;
    let service = Linked {
        service: handler.into_service(),
        link: link.clone(),
    };
    match until_told_to_end(lambda_http::run(service)).await {
        Some(served) => served,
        None => {
            link.close().await;
            Ok(())
        }
    }
}

/// Opens the first connection, so that the first request finds it.
async fn warm_up(link: &Link) {
    let failure = match tokio::time::timeout(WARM_UP_LIMIT, link.warm_up()).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.report().to_string(),
        Err(_) => format!("it took more than {} s", WARM_UP_LIMIT.as_secs()),
    };
    tracing::warn!(
        reason = failure,
        "could not connect before the first request"
    );
}

/// Lambda ends a function whose start takes more than 10 s.
const WARM_UP_LIMIT: Duration = Duration::from_secs(9);

/// What [`run`] serves: implemented for plain async functions and for tower services.
///
/// `M` only tells the two apart and is always inferred.
pub trait IntoService<M> {
    /// The service.
    type Service: Service<Request>;

    /// Makes the service.
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

/// Gives every request the link, and every error a response.
struct Linked<S> {
    service: S,
    link: Link,
}

impl<S> Service<Request> for Linked<S>
where
    S: Service<Request>,
    S::Response: IntoResponse + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A service that cannot take requests would answer none ever again;
        // its error is answered by the call instead.
        match self.service.poll_ready(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let deadline = deadline(&request);
        let link = match deadline {
            Some(deadline) => self.link.with_deadline(deadline),
            None => self.link.clone(),
        };
        request.extensions_mut().insert(link.clone());
        // A panic's message is for the log, where it is already. The Lambda
        // runtime would put it into its answer.
        let answer = AssertUnwindSafe(self.service.call(request)).catch_unwind();
        // In a box of its own, since it is as large as the handler and would be moved about.
        let answer = Box::pin(async {
            let answered = match answer.await {
                Ok(Ok(response)) => Ok(response.into_response()),
                Ok(Err(error)) => Err(respond(&*error.into())),
                Err(_) => Err(failed().to_response()),
            };
            match answered {
                Ok(response) => response.await,
                Err(response) => response,
            }
        });
        Box::pin(async move {
            let Some(deadline) = deadline else {
                let response = answer.await;
                link.settle().await;
                return Ok(Answer(response));
            };
            // What is given up here ends before the database is left in peace.
            let response = match timeout_at(deadline.handler, answer).await {
                Ok(response) => response,
                Err(_) => took_too_long(),
            };
            if !link.is_settled() {
                timeout_at(deadline.tidying, link.settle()).await.ok();
            }
            Ok(Answer(response))
        })
    }
}

/// A response that is one already. The conversion of a plain one would read its body
/// and make it anew.
struct Answer(Response<Body>);

impl IntoResponse for Answer {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(std::future::ready(self.0))
    }
}

/// Until when the platform waits for an answer, and what has to be done before.
fn deadline(request: &Request) -> Option<Deadline> {
    let ends = Duration::from_millis(request.lambda_context_ref()?.deadline);
    let ends = UNIX_EPOCH.checked_add(ends)?;
    Some(Deadline::of_invocation(
        ends,
        SystemTime::now(),
        Instant::now(),
    ))
}

/// The answer where the handler gave none in time: better than what the platform would say,
/// which ends the process and its connections, too.
fn took_too_long() -> Response<Body> {
    tracing::error!("the handler was given up: it took as long as this invocation may last");
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "The function took too long to answer.",
    )
    .to_response()
}

/// What a client gets to see of a handler's error. The log gets the rest, if
/// it was not the client's own mistake.
fn respond(error: &(dyn StdError + 'static)) -> Response<Body> {
    if let Some(problem) = beneath::<Problem>(error) {
        if problem.status().is_server_error() {
            // Its own text is what the client gets; the cause says more.
            let reason = problem.source().unwrap_or(error);
            tracing::error!(reason = %chain(reason), "the request failed");
        }
        return problem.to_response();
    }
    tracing::error!(reason = %chain(error), "the request failed");
    match beneath::<Error>(error) {
        Some(own) => Problem::from(own.clone()),
        None => failed(),
    }
    .to_response()
}

/// All that a client gets to see of an error that is none of ours.
fn failed() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The function failed. Its operator finds the reason in the function's log.",
    )
}

/// The first error of that type, from an error down through its causes.
fn beneath<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::extract::Extension;
    use axum::routing::get;

    use super::*;
    use crate::error::ErrorKind;

    async fn answer<H, M>(handler: H) -> Response<Body>
    where
        H: IntoService<M>,
        <H::Service as Service<Request>>::Response: IntoResponse + 'static,
        <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
        <H::Service as Service<Request>>::Future: Send + 'static,
    {
        let mut linked = Linked {
            service: handler.into_service(),
            link: Link::new(Err(Error::new(ErrorKind::Stage, "no stage, c4n4ry"))),
        };
        let Ok(Answer(response)) = linked.call(Request::new(Body::Empty)).await;
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
        let stage = |Extension(link): Extension<Link>| async move { format!("{:?}", link.stage()) };
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
    async fn request_from_elsewhere_carries_no_link() {
        let error = crate::client(&Request::new(Body::Empty)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(error.to_string().contains("stagelink::run"));
    }
}
