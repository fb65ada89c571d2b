//! The service around a handler whose responses are sent while they are produced.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use lambda_http::Request;
use tokio::time::timeout_at;
use tower_service::Service;
use tracing::Instrument as _;

use crate::database::Databases;
use crate::lambda::error_response::{respond, took_too_long};
use crate::lambda::service::{Panicked, called, finish, linked, response_to_panic, stage_span};
use crate::lambda::streamed_body::Streamed;

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
                    let finishing = async move { finish(&database, deadline).await };
                    return Ok(response.map(|body| Streamed::new(body, deadline, finishing)));
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use futures_util::{StreamExt as _, stream};
    use http::StatusCode;
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};
    use lambda_http::{Context as LambdaContext, RequestExt as _};

    use super::*;
    use crate::database::Database;
    use crate::error::{Error, ErrorKind};
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
        let (head, streamed) = response.into_parts();
        let (mut body, supervisor) = streamed.split();
        let (mut parts, mut broken) = (Vec::new(), None);
        let reply = async {
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => {
                        let data = frame.into_data().unwrap();
                        parts.push(String::from_utf8(data.to_vec()).unwrap());
                    }
                    Err(error) => broken = Some(error.to_string()),
                }
            }
        };
        match supervisor {
            None => reply.await,
            Some(supervisor) => supervisor.supervise(reply).await.unwrap(),
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
