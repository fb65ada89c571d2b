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
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::local_spans::{OpenSpan, SpanPhase, is_enabled, open_span};
use crate::postgres::protocol::ErrorResponse;
use crate::postgres::protocol::frames::{Frames, Oversize};
use crate::postgres::protocol::outcome::{
    Checkpoint, ReturnState, StatementLoss, TransactionTracker, WriteOutcome,
};
use crate::postgres::protocol::oversize::OversizeMessage;
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
    /// The message that was too long, and has ended the connection.
    oversize: OnceLock<OversizeMessage>,
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

    /// Returns the last error that the server reported since the checkpoint.
    pub(crate) fn error_since(&self, checkpoint: &Checkpoint) -> Option<ErrorResponse> {
        self.tracker().error_since(checkpoint).cloned()
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

    /// Returns whether the connection has ended because the driver may take responses for those of
    /// other requests. The work on it has failed by an error of its own.
    pub(crate) fn is_out_of_step(&self) -> bool {
        self.tracker().is_out_of_step()
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

    /// Returns the message that was too long and has ended the connection, if there was one.
    pub(crate) fn oversize(&self) -> Option<OversizeMessage> {
        self.0.oversize.get().copied()
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
    /// Bytes that the driver reads before anything else.
    replay: BytesMut,
    /// Length of the longest message of the server.
    limit: usize,
    /// The watch for statements that change their session, behind a transaction pooler.
    session_changes: Option<SessionChangeWatch>,
    /// The wait for the server's responses, where its time is recorded.
    waiting: Option<OpenSpan>,
}

impl<S> Tapped<S> {
    /// `limit` is the length of the longest message of the server that the driver gets. In place
    /// of a longer one it reads an error, and then the end of the stream.
    pub(in crate::postgres) fn new(stream: S, limit: usize) -> (Self, Tap) {
        let tap = Tap::default();
        let tapped = Self {
            stream,
            tap: tap.clone(),
            sent: Frames::from_frontend(),
            received: Frames::from_backend().with_limit(limit),
            replay: BytesMut::new(),
            limit,
            session_changes: None,
            waiting: None,
        };
        (tapped, tap)
    }

    /// Observes bytes of the server, the last ones of `bytes`, of which the driver has got none.
    /// Leaves those in `bytes` that it may have at once: no header in parts, since a message may
    /// turn out to be too long, and no second response to a failed COPY. Returns their number.
    fn observe(&mut self, bytes: &mut [u8], new: usize) -> io::Result<usize> {
        let held = bytes.len() - new;
        let mut tracker = self.tap.tracker();
        let mut dropped = 0;
        let mut ends = Vec::new();
        let oversize = self
            .received
            .feed_with_positions(&bytes[held..], |tag, body, end| {
                if !tracker.received(tag, body) {
                    ends.push(held + end);
                }
            });
        if !tracker.waits()
            && let Some(waited) = self.waiting.take()
        {
            waited.end();
        }
        let loss = tracker.take_statement_loss();
        if tracker.is_out_of_step() {
            tracker.end();
            return Err(io::Error::other(
                "a COPY failed after its end was sent, which the driver cannot follow",
            ));
        }
        if tracker.is_misrouted() {
            return Err(io::Error::other(
                "the response to another client's request arrived, so that to this one is lost",
            ));
        }
        if oversize.is_some() {
            tracker.end();
        }
        drop(tracker);
        if let Some(loss) = loss {
            self.tap.record_lost_statements(loss);
        }
        let mut count = bytes.len() - self.received.partial_head().len();
        if let Some(Oversize { bytes: length, at }) = oversize {
            let limit = self.limit;
            let message = OversizeMessage {
                bytes: length,
                limit,
            };
            self.tap.0.oversize.set(message).ok();
            self.replay.extend_from_slice(&message.error_response());
            // A message that began with the bytes that were held back begins at 0.
            count = if at == 0 { 0 } else { held + at };
        }
        for end in ends {
            let end = end - dropped;
            bytes.copy_within(end..count, end - READY_FOR_QUERY_BYTES);
            count -= READY_FOR_QUERY_BYTES;
            dropped += READY_FOR_QUERY_BYTES;
        }
        Ok(count)
    }
}

impl<S: AsyncRead + Unpin> Tapped<S> {
    /// Reads the rest of a header whose first bytes the driver has not got yet, with what follows
    /// it, into the bytes to replay. Returns whether the stream has not ended.
    fn poll_header(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [0; HEADER_READ_BYTES];
        let mut buf = ReadBuf::new(&mut space);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
        let new = buf.filled();
        if read.is_err() || new.is_empty() {
            self.tap.tracker().end();
            return Poll::Ready(read.map(|()| false));
        }
        let mut bytes = BytesMut::from(self.received.partial_head());
        bytes.extend_from_slice(new);
        // What `observe` adds for the driver comes behind these bytes.
        let count = self.observe(&mut bytes, new.len())?;
        bytes.truncate(count);
        bytes.unsplit(self.replay.split());
        self.replay = bytes;
        Poll::Ready(Ok(true))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.replay.is_empty() {
                let now = this.replay.len().min(buf.remaining());
                buf.put_slice(&this.replay.split_to(now));
                return Poll::Ready(Ok(()));
            }
            if this.tap.oversize().is_some() {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            let room = buf.remaining() > 0;
            if room && !this.received.partial_head().is_empty() {
                if ready!(this.poll_header(cx))? {
                    continue;
                }
                return Poll::Ready(Ok(()));
            }
            let answer = Pin::new(&mut this.stream).poll_read(cx, buf);
            match &answer {
                Poll::Pending => {}
                Poll::Ready(Ok(())) if buf.filled().len() > before => {
                    let new = &mut buf.filled_mut()[before..];
                    let length = new.len();
                    let count = this.observe(new, length)?;
                    buf.set_filled(before + count);
                    if count == 0 {
                        continue;
                    }
                }
                Poll::Ready(Ok(())) if !room => {}
                Poll::Ready(_) => this.tap.tracker().end(),
            }
            return answer;
        }
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
            this.tap.tracker().record_write(false);
            return Poll::Ready(Ok(COPY_FAIL.len()));
        }
        let answer = Pin::new(&mut this.stream).poll_write(cx, buf);
        match &answer {
            Poll::Pending => this.tap.tracker().record_blocked_write(),
            Poll::Ready(Ok(count)) => {
                let mut tracker = this.tap.tracker();
                this.sent.feed(&buf[..*count], |tag, _| tracker.sent(tag));
                tracker.record_write(!this.sent.is_between_messages());
                // The start of a session is the login's, and it is replayed to the driver.
                let is_work = tracker.waits() && !tracker.is_new();
                if is_enabled() && this.waiting.is_none() && is_work {
                    this.waiting = Some(open_span(SpanPhase::Query));
                }
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

/// Length of a ReadyForQuery.
const READY_FOR_QUERY_BYTES: usize = 6;

/// Bytes to read at once where a header came in parts.
const HEADER_READ_BYTES: usize = 1024;

/// CopyFail without a reason, and Sync: the driver's end of a COPY that was given up.
pub(super) const COPY_FAIL: &[u8] = b"f\0\0\0\x05\0S\0\0\0\x04";

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    /// Sends a stream in pieces of a length, and returns what the driver reads, and the tap.
    async fn read(stream: &[u8], piece: usize, limit: usize) -> (Vec<u8>, Tap) {
        let (client, mut server) = duplex(piece);
        let (mut tapped, tap) = Tapped::new(client, limit);
        let client = async {
            let mut got = Vec::new();
            tapped.read_to_end(&mut got).await.unwrap();
            drop(tapped);
            got
        };
        let (got, ()) = tokio::join!(client, async {
            // The client may read no further.
            server.write_all(stream).await.ok();
            drop(server);
        });
        (got, tap)
    }

    #[tokio::test]
    async fn message_above_the_limit_becomes_an_error_however_the_stream_is_cut() {
        const LIMIT: usize = 40;
        let before = [
            message(b'T', b"columns"),
            message(b'D', &[7; LIMIT - 5]),
            message(b'D', b""),
        ]
        .concat();
        let oversize = OversizeMessage {
            bytes: LIMIT + 1,
            limit: LIMIT,
        };
        let row = message(b'D', &[7; LIMIT - 4]);
        let stream = [&before[..], &row, &message(b'Z', b"I")].concat();
        let expected = [&before[..], &oversize.error_response()].concat();
        for piece in 1..stream.len() {
            let (got, tap) = read(&stream, piece, LIMIT).await;
            assert_eq!(got, expected, "pieces of {piece}");
            assert_eq!(tap.oversize(), Some(oversize));
            assert!(tap.has_ended());
            let (got, tap) = read(&stream, piece, LIMIT + 1).await;
            assert_eq!(got, stream, "pieces of {piece}");
            assert_eq!(tap.oversize(), None);
        }
    }

    #[tokio::test]
    async fn second_response_to_a_failed_copy_is_cut_out_however_the_stream_is_cut() {
        let first = [
            message(b'G', b"\0\0\0"),
            message(b'E', b"SERROR\0VERROR\0C42809\0Mno\0RCopyFrom\0\0"),
            message(b'Z', b"T"),
        ]
        .concat();
        let next = [
            message(b'1', b""),
            message(b'C', b"SELECT 1\0"),
            message(b'Z', b"T"),
        ]
        .concat();
        let stream = [&first[..], &message(b'Z', b"T"), &next].concat();
        let too_long = message(b'D', &[7; 100]);
        for piece in 1..=stream.len() {
            let (got, tap) = read(&stream, piece, 1_000).await;
            assert_eq!(got, [&first[..], &next].concat(), "pieces of {piece}");
            assert_eq!(tap.unanswered_count(), 0);
            // And in front of a message that is too long.
            let stream = [&stream[..], &too_long].concat();
            let (got, tap) = read(&stream, piece, 80).await;
            let error = tap.oversize().unwrap().error_response();
            assert_eq!(
                got,
                [&first[..], &next, &error].concat(),
                "pieces of {piece}"
            );
        }
    }

    #[tokio::test]
    async fn ready_for_query_of_another_length_is_borne() {
        for body in [&b""[..], b"II", &[b'I'; 50]] {
            let stream = [
                message(b'G', b"\0\0\0"),
                message(b'E', b"SERROR\0\0"),
                message(b'Z', body),
                message(b'Z', body),
            ]
            .concat();
            for piece in 1..=stream.len() {
                assert_eq!(read(&stream, piece, 1_000).await.0, stream);
            }
        }
    }
}
