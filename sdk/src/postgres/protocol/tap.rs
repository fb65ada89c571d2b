//! A network tap on a connection: it observes messages to tell what a failure left behind.
//!
//! The tap sits between the driver and TLS. It costs no round trip, and answers
//! what the driver cannot: was a request sent, did the server answer it, did it take effect, is a
//! transaction open, and what was the server's last error?

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::postgres::protocol::frames::Frames;
use crate::postgres::protocol::outcome::{
    Checkpoint, ReturnState, StatementLoss, TransactionTracker, WriteOutcome,
};
use crate::postgres::protocol::session_change::{SessionChangeWatch, has_warned};

/// The observations on one connection. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap(Arc<Observations>);

#[derive(Default)]
struct Observations {
    tracker: Mutex<TransactionTracker>,
    /// Forgets cached prepared statements. Returns whether there were any.
    forget_statements: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
    /// True if statements that change their session are warned of.
    warns: AtomicBool,
}

impl Tap {
    /// Returns the current position, for later questions about what followed.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.tracker().checkpoint()
    }

    /// Returns the outcome of everything that was sent since the checkpoint.
    pub(crate) fn outcome_since(&self, checkpoint: &Checkpoint) -> WriteOutcome {
        self.tracker().outcome_since(checkpoint)
    }

    /// Returns the SQLSTATE of the last error that the server reported since the checkpoint.
    pub(crate) fn error_since(&self, checkpoint: &Checkpoint) -> Option<String> {
        self.tracker().error_since(checkpoint).map(str::to_owned)
    }

    /// Returns whether the server refused a write since the checkpoint, because the session is
    /// read-only.
    pub(crate) fn has_refused_write_since(&self, checkpoint: &Checkpoint) -> bool {
        self.tracker().has_refused_write_since(checkpoint)
    }

    /// Returns the state of the connection and the last error since the checkpoint.
    pub(crate) fn return_state_since(&self, checkpoint: &Checkpoint) -> ReturnState {
        self.tracker().return_state_since(checkpoint)
    }

    /// Returns whether the connection has ended, or the server has announced that it will.
    pub(crate) fn has_ended(&self) -> bool {
        self.tracker().has_ended()
    }

    /// Returns whether no work is being sent or waits for its response, and no transaction is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.tracker().is_idle()
    }

    /// Returns whether no work was sent after the start of the session.
    pub(crate) fn is_new(&self) -> bool {
        self.tracker().is_new()
    }

    /// Returns the number of requests that were more than a Sync or a Close.
    pub(crate) fn work_count(&self) -> u64 {
        self.tracker().work_count()
    }

    /// Returns the number of requests whose response has not ended.
    pub(crate) fn unanswered_count(&self) -> usize {
        self.tracker().unanswered_count()
    }

    /// Returns whether work waits for its response, or is being sent.
    pub(crate) fn is_at_work(&self) -> bool {
        self.tracker().is_at_work()
    }

    /// Returns the number of requests whose response has not ended; `None` if the driver's latest
    /// message has been sent in part.
    pub(crate) fn unanswered_between_messages(&self) -> Option<usize> {
        let tracker = self.tracker();
        (!tracker.is_mid_message()).then(|| tracker.unanswered_count())
    }

    /// Returns whether a transaction was open at the last response.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.tracker().is_in_transaction()
    }

    /// Records that a prepared statement became invalid inside a transaction.
    pub(crate) fn record_lost_plan(&self) {
        self.tracker().record_lost_plan();
    }

    /// Returns whether a prepared statement became invalid since the checkpoint.
    pub(crate) fn has_lost_plan_since(&self, checkpoint: &Checkpoint) -> bool {
        self.tracker().has_lost_plan_since(checkpoint)
    }

    /// Sets the action that forgets cached prepared statements, for the time when some turn out
    /// to be lost. It returns whether there were any.
    pub(in crate::postgres) fn on_lost_statements(
        &self,
        forget: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        self.0.forget_statements.set(Box::new(forget)).ok();
    }

    /// Records that prepared statements were lost, and forgets those that are cached: the next use
    /// prepares them again. Where that made work fail, a transaction may be started again.
    pub(in crate::postgres) fn record_lost_statements(&self, loss: StatementLoss) {
        let forget = self.0.forget_statements.get();
        let had_any = forget.is_some_and(|forget| forget());
        if had_any && loss == StatementLoss::Failed {
            self.tracker().record_lost_plan();
        }
    }

    /// Records that the connection is of no use any more.
    pub(in crate::postgres) fn record_end(&self) {
        self.tracker().end();
    }

    /// Has the log warn of the next statement that changes its session, as none may behind a
    /// transaction pooler. The driver must not be in the middle of a message.
    pub(crate) fn warn_of_session_changes(&self) {
        self.0.warns.store(true, Ordering::Relaxed);
    }

    fn tracker(&self) -> MutexGuard<'_, TransactionTracker> {
        self.0
            .tracker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Observations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tracker.fmt(f)
    }
}

/// A stream with a tap. It has to begin before the StartupMessage.
pub(in crate::postgres) struct Tapped<S> {
    stream: S,
    tap: Tap,
    sent: Frames,
    received: Frames,
    /// The watch for statements that change their session, behind a transaction pooler.
    session_changes: Option<SessionChangeWatch>,
}

impl<S> Tapped<S> {
    pub(in crate::postgres) fn new(stream: S) -> (Self, Tap) {
        let tap = Tap::default();
        let tapped = Self {
            stream,
            tap: tap.clone(),
            sent: Frames::from_frontend(),
            received: Frames::from_backend(),
            session_changes: None,
        };
        (tapped, tap)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let room = buf.remaining() > 0;
        let answer = Pin::new(&mut this.stream).poll_read(cx, buf);
        match &answer {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if buf.filled().len() > before || !room => {
                let mut tracker = this.tap.tracker();
                let new = &buf.filled()[before..];
                this.received
                    .feed(new, |tag, body| tracker.received(tag, body));
                let loss = tracker.take_statement_loss();
                if tracker.is_out_of_step() {
                    tracker.end();
                    return Poll::Ready(Err(io::Error::other(
                        "a COPY failed after its end was sent, which the driver cannot follow",
                    )));
                }
                drop(tracker);
                if let Some(loss) = loss {
                    this.tap.record_lost_statements(loss);
                }
            }
            Poll::Ready(_) => this.tap.tracker().end(),
        }
        answer
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if buf.starts_with(COPY_FAIL)
            && this.sent.is_between_messages()
            && this.tap.tracker().has_no_copy_to_end()
        {
            // Nothing is sent: the driver would take the response for that of its next request.
            return Poll::Ready(Ok(COPY_FAIL.len()));
        }
        let answer = Pin::new(&mut this.stream).poll_write(cx, buf);
        match &answer {
            Poll::Pending => this.tap.tracker().record_blocked_write(),
            Poll::Ready(Ok(count)) => {
                let mut tracker = this.tap.tracker();
                this.sent.feed(&buf[..*count], |tag, _| tracker.sent(tag));
                tracker.record_write(!this.sent.is_between_messages());
                drop(tracker);
                if this.tap.0.warns.load(Ordering::Relaxed) && !has_warned() {
                    let watch = this.session_changes.get_or_insert_default();
                    watch.feed(&buf[..*count]);
                }
            }
            Poll::Ready(Err(_)) => this.tap.tracker().end(),
        }
        answer
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// CopyFail without a reason, and Sync: the driver's end of a COPY that was given up.
pub(super) const COPY_FAIL: &[u8] = b"f\0\0\0\x05\0S\0\0\0\x04";
