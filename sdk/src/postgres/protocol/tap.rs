//! Watches a connection's messages, so that what a failure left behind is known and not guessed.
//!
//! A tap sits between the driver and TLS and reads along. It changes nothing,
//! costs no round trip, and answers what the driver cannot: was a request sent,
//! did the server answer it, did it take effect, is a transaction open, and what
//! was the server's last error?

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::postgres::protocol::frames::Frames;
use crate::postgres::protocol::outcome::{
    Checkpoint, ReturnState, TransactionTracker, WriteOutcome,
};

/// What has passed on one connection. Clones see the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap(Arc<Mutex<TransactionTracker>>);

impl Tap {
    /// This moment, to tell later what became of everything after it.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.passed().checkpoint()
    }

    /// What became of all that was sent since the mark.
    pub(crate) fn outcome_since(&self, mark: &Checkpoint) -> WriteOutcome {
        self.passed().outcome_since(mark)
    }

    /// The SQLSTATE of the last error that the server told since the mark.
    pub(crate) fn error_since(&self, mark: &Checkpoint) -> Option<String> {
        self.passed().error_since(mark).map(str::to_owned)
    }

    /// How the connection is left now, and what was told since the mark.
    pub(crate) fn return_state_since(&self, mark: &Checkpoint) -> ReturnState {
        self.passed().return_state_since(mark)
    }

    /// Whether the connection has ended, or the server has said that it will.
    pub(crate) fn has_ended(&self) -> bool {
        self.passed().has_ended()
    }

    /// Whether no request waits for its answer and no transaction is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.passed().is_idle()
    }

    /// Whether nothing has been asked but for the session to start.
    pub(crate) fn is_new(&self) -> bool {
        self.passed().is_new()
    }

    /// Whether nothing at all waits for its answer, and no transaction is open.
    pub(crate) fn is_quiet(&self) -> bool {
        self.passed().is_quiet()
    }

    /// Whether some request waits for its answer.
    pub(crate) fn is_at_work(&self) -> bool {
        self.passed().waits()
    }

    /// Whether a transaction was open at the last answer.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.passed().is_in_transaction()
    }

    /// A prepared statement was of no use any more, inside of a transaction.
    pub(crate) fn lost_its_plan(&self) {
        self.passed().lost_its_plan();
    }

    /// Whether that happened since the mark.
    pub(crate) fn has_lost_its_plan_since(&self, mark: &Checkpoint) -> bool {
        self.passed().has_lost_its_plan_since(mark)
    }

    fn passed(&self) -> MutexGuard<'_, TransactionTracker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream to a server with a tap in it. It begins before the startup message.
pub(in crate::postgres) struct Tapped<S> {
    stream: S,
    tap: Tap,
    sent: Frames,
    received: Frames,
}

impl<S> Tapped<S> {
    pub(in crate::postgres) fn new(stream: S) -> (Self, Tap) {
        let tap = Tap::default();
        let tapped = Self {
            stream,
            tap: tap.clone(),
            sent: Frames::from_frontend(),
            received: Frames::from_backend(),
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
                let mut passed = this.tap.passed();
                let new = &buf.filled()[before..];
                this.received
                    .feed(new, |tag, body| passed.received(tag, body));
            }
            Poll::Ready(_) => this.tap.passed().end(),
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
        let answer = Pin::new(&mut this.stream).poll_write(cx, buf);
        match &answer {
            Poll::Pending => {}
            Poll::Ready(Ok(count)) => {
                let mut passed = this.tap.passed();
                this.sent.feed(&buf[..*count], |tag, _| passed.sent(tag));
            }
            Poll::Ready(Err(_)) => this.tap.passed().end(),
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
