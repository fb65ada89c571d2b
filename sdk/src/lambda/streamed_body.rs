//! The body of a streamed response, which ends with its invocation whether it is read or not.
//!
//! The client of the Runtime API polls a body only while the API reads. So a body has two owners:
//!
//! - [`StreamedBody`] is polled by the HTTP client, and produces the frames;
//! - [`BodySupervisor`] belongs to the invocation. It drops the handler's body at the deadline,
//!   finishes the invocation's work as soon as the body is over, by whatever cause, and only then
//!   lets the HTTP client end the response: the process may be frozen afterwards.
//!
//! A body goes from [`Flowing`](Phase::Flowing) to [`Over`](Phase::Over) when it has ended, failed,
//! panicked or run out of time, or when either owner is dropped; and from there to
//! [`Finished`](Phase::Finished) when the invocation's work is finished.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body::{Body, Frame};
use tokio::time::timeout_at;
use tracing::{Instrument as _, Span};

use crate::deadline::Deadline;
use crate::error::Error;
use crate::lambda::error_response::beneath;
use crate::log_line::with_causes;

type BoxError = Box<dyn StdError + Send + Sync>;
type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A handler's body, or the text in its place.
pub(super) enum Streamed<B> {
    Whole(Bytes),
    Flowing(StreamedBody<B>, BodySupervisor<B>),
}

impl<B> Streamed<B> {
    /// Returns a body that is there already.
    pub(super) fn whole(body: lambda_http::Body) -> Self {
        Self::Whole(body.to_vec().into())
    }

    /// Returns the body of a handler. `finishing` is the work at the end of its invocation.
    pub(super) fn new(
        body: B,
        deadline: Option<Deadline>,
        finishing: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let shared = Shared(Arc::new(Mutex::new(State {
            phase: Phase::Flowing(Box::pin(body)),
            reader: None,
            supervisor: None,
        })));
        let body = StreamedBody(Source::Handler(shared.clone(), Span::current()));
        let supervisor = BodySupervisor {
            shared,
            deadline,
            finishing: Some(Box::pin(finishing)),
            span: Span::current(),
        };
        Self::Flowing(body, supervisor)
    }

    /// Returns the two owners of the body. That of a text needs no supervisor.
    pub(super) fn split(self) -> (StreamedBody<B>, Option<BodySupervisor<B>>) {
        match self {
            Self::Whole(text) => (StreamedBody(Source::Whole(Some(text))), None),
            Self::Flowing(body, supervisor) => (body, Some(supervisor)),
        }
    }
}

/// The state that both owners share.
struct Shared<B>(Arc<Mutex<State<B>>>);

struct State<B> {
    phase: Phase<B>,
    /// The task of the HTTP client.
    reader: Option<Waker>,
    /// The task of the invocation.
    supervisor: Option<Waker>,
}

enum Phase<B> {
    /// The handler produces the body.
    Flowing(Pin<Box<B>>),
    /// The handler's body is dropped, and the invocation's work is being finished. Holds the reason
    /// if the body is not whole.
    Over(Option<Broken>),
    /// The HTTP client may end the response.
    Finished(Option<Broken>),
}

impl<B> Clone for Shared<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the handler's body if it still flows. Returns whether it did.
    fn break_off(&self, reason: Broken) -> bool {
        let mut state = self.lock();
        let flows = matches!(state.phase, Phase::Flowing(_));
        if flows {
            state.end(Some(reason));
        }
        flows
    }

    /// Waits until the handler's body is over, and drops it at the deadline.
    async fn wait_for_end(&self, deadline: Option<Deadline>) {
        let over = poll_fn(|cx| {
            let mut state = self.lock();
            if !matches!(state.phase, Phase::Flowing(_)) {
                return Poll::Ready(());
            }
            state.supervisor = Some(cx.waker().clone());
            Poll::Pending
        });
        let Some(deadline) = deadline else {
            return over.await;
        };
        let is_late = timeout_at(deadline.handler, over).await.is_err();
        if is_late && self.break_off(Broken(TOOK_TOO_LONG)) {
            tracing::error!("the body was broken off: it took as long as this invocation may last");
        }
    }

    /// Lets the HTTP client end the response.
    fn record_finished(&self) {
        let mut state = self.lock();
        if let Phase::Over(reason) = &mut state.phase {
            let reason = reason.take();
            state.phase = Phase::Finished(reason);
        }
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl<B> State<B> {
    /// Drops the handler's body, which returns its connections, to be reset if it was broken off.
    /// The lock is held meanwhile, so that the invocation's work is finished after that.
    ///
    /// A panic in that ends neither the invocation nor the connection to the Runtime API.
    fn end(&mut self, reason: Option<Broken>) {
        let flowing = std::mem::replace(&mut self.phase, Phase::Over(reason));
        if catch_unwind(AssertUnwindSafe(|| drop(flowing))).is_err() {
            tracing::error!("the body of a response panicked as it was dropped");
        }
        for waker in [self.reader.take(), self.supervisor.take()] {
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

/// The part of a body that the HTTP client polls.
pub(super) struct StreamedBody<B>(Source<B>);

enum Source<B> {
    Whole(Option<Bytes>),
    Handler(Shared<B>, Span),
}

impl<B> Body for StreamedBody<B>
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
        let (shared, span) = match &mut self.0 {
            Source::Whole(text) => {
                return Poll::Ready(text.take().map(|text| Ok(Frame::data(text))));
            }
            Source::Handler(shared, span) => (shared, span),
        };
        let mut state = shared.lock();
        let end = match &mut state.phase {
            Phase::Finished(reason) => return Poll::Ready(reason.take().map(Err)),
            Phase::Over(_) => None,
            Phase::Flowing(body) => match span.in_scope(|| poll_data(body.as_mut(), cx)) {
                Poll::Ready(Ok(Some(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Poll::Ready(Ok(None)) => Some(None),
                Poll::Ready(Err(reason)) => Some(Some(reason)),
                Poll::Pending => None,
            },
        };
        if let Some(reason) = end {
            span.in_scope(|| state.end(reason));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<B> Drop for StreamedBody<B> {
    fn drop(&mut self) {
        if let Source::Handler(shared, _) = &self.0 {
            shared.break_off(Broken(FAILED));
        }
    }
}

/// Polls a handler's body for the next data; `None` at the end.
fn poll_data<B>(body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>>
where
    B: Body,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    // The code of the body, its data and its errors. A panic in it would end the connection to the
    // Runtime API, and so the process.
    let polled = AssertUnwindSafe(|| match ready!(body.poll_frame(cx)) {
        None => Poll::Ready(Ok(None)),
        // Lambda takes no trailers: they end the body.
        Some(Ok(frame)) => Poll::Ready(Ok(frame.into_data().ok().map(Into::into))),
        Some(Err(error)) => {
            let error: BoxError = error.into();
            tracing::error!(reason = %with_causes(&*error), "the body was broken off");
            let own = beneath::<Error>(&*error);
            Poll::Ready(Err(Broken(own.map_or(FAILED, Error::public_message))))
        }
    });
    catch_unwind(polled).unwrap_or(Poll::Ready(Err(Broken(FAILED))))
}

/// The part of a body that belongs to its invocation.
///
/// Dropped, it drops the handler's body too, and the work at the end of the invocation is not
/// finished.
pub(super) struct BodySupervisor<B> {
    shared: Shared<B>,
    deadline: Option<Deadline>,
    finishing: Option<BoxFuture>,
    span: Span,
}

impl<B> BodySupervisor<B> {
    /// Waits for the request that sends the body, until the end of the invocation at most. Drops
    /// the handler's body at the deadline, or when the request ends before it, and finishes the
    /// invocation's work. Returns `None` if the request has not ended in time.
    ///
    /// # Cancel safety
    ///
    /// A drop breaks the body off and drops the request. The handler's connections go back to the
    /// pool, which resets them without being waited for.
    pub(super) async fn supervise<T>(self, reply: impl Future<Output = T>) -> Option<T> {
        let span = self.span.clone();
        self.run(reply).instrument(span).await
    }

    async fn run<T>(mut self, reply: impl Future<Output = T>) -> Option<T> {
        let mut reply = pin!(reply);
        let end = pin!(self.shared.wait_for_end(self.deadline));
        let reply_first = match select(reply.as_mut(), end).await {
            Either::Left((replied, _)) => Some(replied),
            Either::Right(_) => None,
        };
        if self.shared.break_off(Broken(FAILED)) {
            tracing::error!("the body was broken off: the Lambda Runtime API took no more of it");
        }
        if let Some(finishing) = self.finishing.take() {
            finishing.await;
        }
        self.shared.record_finished();
        match (reply_first, self.deadline) {
            (Some(replied), _) => Some(replied),
            (None, None) => Some(reply.await),
            (None, Some(deadline)) => timeout_at(deadline.end, reply).await.ok(),
        }
    }
}

impl<B> Drop for BodySupervisor<B> {
    fn drop(&mut self) {
        self.shared.break_off(Broken(FAILED));
        self.shared.record_finished();
    }
}

/// The reason why a body is not whole, in words that a client may read.
#[derive(Debug)]
pub(super) struct Broken(pub(super) &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for Broken {}

const FAILED: &str = "The function failed. Its operator finds the reason in the function's log.";
const TOOK_TOO_LONG: &str = "The function took too long to answer.";

#[cfg(test)]
mod tests;
