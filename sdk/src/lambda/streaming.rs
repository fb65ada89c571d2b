//! Responses whose bodies are sent while they are produced.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use lambda_http::Request;
use tokio::time::{Sleep, sleep_until, timeout_at};
use tower_service::Service;
use tracing::{Instrument as _, Span};

use crate::database::{Database, Databases};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::lambda::error_response::{beneath, respond, took_too_long};
use crate::lambda::service::{Panicked, called, finish, linked, response_to_panic, stage_span};
use crate::log_line::with_causes;

type BoxError = Box<dyn StdError + Send + Sync>;

/// The service around a handler of streamed responses, as `HandlerService` is for whole ones.
#[derive(Clone)]
pub(super) struct Streaming<S> {
    service: S,
    databases: Databases,
}

impl<S> Streaming<S> {
    pub(super) fn new(service: S, databases: &Databases) -> Self {
        Self {
            service,
            databases: databases.clone(),
        }
    }
}

impl<S, B> Service<Request> for Streaming<S>
where
    S: Service<Request, Response = Response<B>>,
    S::Error: Into<BoxError> + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<Streamed<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // As for whole responses.
        match self.service.poll_ready(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let (database, deadline) = linked(&self.databases, &mut request);
        let span = stage_span(&database);
        let answer = span.in_scope(|| called(&mut self.service, request));
        let answered = async move {
            let answer = async {
                match answer {
                    Ok(answer) => answer.await.map_err(|_| Panicked),
                    Err(panicked) => Err(panicked),
                }
            };
            let answered = match deadline {
                None => Ok(answer.await),
                Some(deadline) => timeout_at(deadline.handler, answer).await,
            };
            let refusal = match answered {
                Ok(Ok(Ok(response))) => {
                    return Ok(response.map(|body| Streamed::new(body, database, deadline)));
                }
                Ok(Ok(Err(error))) => respond(&*error.into()),
                Ok(Err(Panicked)) => response_to_panic(),
                Err(_) => took_too_long(),
            };
            finish(&database, deadline).await;
            Ok(refusal.map(Streamed::whole))
        };
        Box::pin(answered.instrument(span))
    }
}

/// A handler's body, or the text in its place.
///
/// The mutex makes it `Sync`, which `lambda_http` asks of every body. It is never locked.
pub(super) struct Streamed<B>(Mutex<State<B>>);

enum State<B> {
    Flowing(Flow<B>),
    /// It has ended, for this reason if it is not whole. The cleanup comes before the client
    /// learns of the end, since the process may be frozen afterwards.
    Ending(Pin<Box<dyn Future<Output = ()> + Send>>, Option<Broken>),
    Said(Option<Bytes>),
}

struct Flow<B> {
    body: Pin<Box<B>>,
    database: Database,
    deadline: Option<Deadline>,
    limit: Option<Pin<Box<Sleep>>>,
    span: Span,
}

impl<B> Streamed<B> {
    /// Returns a body that is there already.
    pub(super) fn whole(body: lambda_http::Body) -> Self {
        Self(Mutex::new(State::Said(Some(body.to_vec().into()))))
    }

    fn new(body: B, database: Database, deadline: Option<Deadline>) -> Self {
        Self(Mutex::new(State::Flowing(Flow {
            body: Box::pin(body),
            database,
            deadline,
            limit: deadline.map(|deadline| Box::pin(sleep_until(deadline.handler))),
            span: Span::current(),
        })))
    }
}

impl<B> Flow<B>
where
    B: Body,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    /// Polls for the next data; `None` at the end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        let _entered = self.span.clone().entered();
        if let Some(limit) = &mut self.limit
            && limit.as_mut().poll(cx).is_ready()
        {
            tracing::error!("the body was broken off: it took as long as this invocation may last");
            return Poll::Ready(Err(Broken("The function took too long to answer.")));
        }
        let body = self.body.as_mut();
        // Here a panic would end the connection to the Runtime API, and so the process.
        let frame = match catch_unwind(AssertUnwindSafe(|| body.poll_frame(cx))) {
            Ok(polled) => ready!(polled),
            Err(_) => return Poll::Ready(Err(Broken(FAILED))),
        };
        Poll::Ready(match frame {
            None => Ok(None),
            // Lambda takes no trailers: they end the body.
            Some(Ok(frame)) => Ok(frame.into_data().ok().map(Into::into)),
            Some(Err(error)) => {
                let error: BoxError = error.into();
                tracing::error!(reason = %with_causes(&*error), "the body was broken off");
                let own = beneath::<Error>(&*error);
                Err(Broken(own.map_or(FAILED, Error::public_message)))
            }
        })
    }
}

impl<B> Body for Streamed<B>
where
    B: Body + Send + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let state = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            let reason = match state {
                State::Said(text) => {
                    return Poll::Ready(text.take().map(|text| Ok(Frame::data(text))));
                }
                State::Ending(settling, reason) => {
                    ready!(settling.as_mut().poll(cx));
                    let reason = reason.take();
                    *state = State::Said(None);
                    return Poll::Ready(reason.map(Err));
                }
                State::Flowing(flow) => match ready!(flow.poll_data(cx)) {
                    Ok(Some(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(None) => None,
                    Err(reason) => Some(reason),
                },
            };
            if let State::Flowing(Flow {
                body,
                database,
                deadline,
                ..
            }) = std::mem::replace(state, State::Said(None))
            {
                // It returns its connections, to be reset if it was broken off.
                drop(body);
                let finishing = async move { finish(&database, deadline).await };
                *state = State::Ending(Box::pin(finishing), reason);
            }
        }
    }
}

/// The reason why a body is not whole, in words that a client may read.
#[derive(Debug)]
pub(super) struct Broken(pub(super) &'static str);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for Broken {}

const FAILED: &str = "The function failed. Its operator finds the reason in the function's log.";

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use futures_util::{StreamExt as _, stream};
    use http::StatusCode;
    use http_body_util::{BodyExt as _, StreamBody};
    use lambda_http::{Context as LambdaContext, RequestExt as _};

    use super::*;
    use crate::error::ErrorKind;
    use crate::lambda::IntoService;
    use crate::problem::Problem;

    type Part = Result<Frame<Bytes>, BoxError>;

    fn part(text: &'static str) -> Part {
        Ok(Frame::data(Bytes::from(text)))
    }

    /// Sends a body of these parts in an invocation of ten seconds, and returns the status, each
    /// part, and the reason why the body is not whole.
    async fn sent<S>(parts: S) -> (StatusCode, Vec<String>, Option<String>)
    where
        S: stream::Stream<Item = Part> + Send + 'static,
    {
        let mut parts = Some(parts);
        sent_by(move || {
            Ok(Response::new(StreamBody::new(
                parts.take().expect("one request"),
            )))
        })
        .await
    }

    async fn sent_by<B>(
        mut handle: impl FnMut() -> Result<Response<B>, BoxError>,
    ) -> (StatusCode, Vec<String>, Option<String>)
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let database = Database::new(Err(Error::new(ErrorKind::Stage, "no stage, c4n4ry")));
        let handler = move |_: Request| std::future::ready(handle());
        let mut streaming = Streaming::new(handler.into_service(), &Databases::from(database));
        let mut context = LambdaContext::default();
        let ends = SystemTime::now() + Duration::from_secs(10);
        let ends = ends.duration_since(UNIX_EPOCH).unwrap().as_millis();
        context.deadline = ends.try_into().unwrap();
        let request = Request::default().with_lambda_context(context);
        let Ok(response) = streaming.call(request).await;
        let (head, mut body) = response.into_parts();
        let (mut parts, mut broken) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => {
                    let data = frame.into_data().unwrap();
                    parts.push(String::from_utf8(data.to_vec()).unwrap());
                }
                Err(error) => broken = Some(error.to_string()),
            }
        }
        (head.status, parts, broken)
    }

    #[tokio::test]
    async fn body_is_sent_part_by_part() {
        let sent = sent(stream::iter([part("one"), part("two")])).await;
        assert_eq!(sent.1, ["one", "two"]);
        assert_eq!((sent.0.as_u16(), sent.2), (200, None));
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_takes_too_long_is_broken_off() {
        let parts = stream::iter([part("one")]).chain(stream::pending());
        let (_, parts, broken) = sent(parts).await;
        assert_eq!(parts, ["one"]);
        assert!(broken.unwrap().contains("too long"));
    }

    #[tokio::test]
    async fn body_that_fails_is_broken_off_with_its_public_message() {
        let own = Error::new(ErrorKind::App, "app shop-c4n4ry");
        for (error, said) in [
            (BoxError::from(own), "is not set up"),
            ("c4n4ry".into(), "The function failed"),
        ] {
            let (_, parts, broken) = sent(stream::iter([part("one"), Err(error)])).await;
            let broken = broken.unwrap();
            assert_eq!(parts, ["one"]);
            assert!(
                broken.contains(said) && !broken.contains("c4n4ry"),
                "{broken}"
            );
        }
    }

    #[tokio::test]
    async fn body_that_panics_is_broken_off() {
        let parts = stream::iter([1, 2]).map(|number| match number {
            1 => part("one"),
            _ => panic!("c4n4ry"),
        });
        let (_, parts, broken) = sent(parts).await;
        assert_eq!(parts, ["one"]);
        assert!(!broken.unwrap().contains("c4n4ry"));
    }

    #[tokio::test]
    async fn error_before_the_body_is_a_problem() {
        let fail = || {
            let problem = Problem::new(StatusCode::CONFLICT, "There is one already.");
            Err::<Response<StreamBody<stream::Pending<Part>>>, BoxError>(problem.into())
        };
        let (status, parts, broken) = sent_by(fail).await;
        assert_eq!((status, broken), (StatusCode::CONFLICT, None));
        assert!(parts[0].contains("There is one already."));
    }
}
