//! A stream whose session has started, for the driver, which expects to start it.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use postgres_protocol::message::backend::{DataRowBody, Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use super::pipelined::{Messages, Pipelined, ResetFailure, Response, failed_reset};
use super::sent_reset::{ResetProgress, SentReset};
use super::session_params;

/// A stream to a server with a started session.
///
/// It swallows the driver's StartupMessage and replays the server's earlier messages in reply.
/// The SDK's own statements ([`Pipelined`]) are sent ahead of the driver's next message, in the
/// same flight, and the driver does not see their responses; nor the response to the early
/// query, which was sent while the session started. Everything else passes through.
pub(in crate::postgres) struct RewindStream<S> {
    stream: S,
    startup: Startup,
    /// Bytes that the driver reads before anything else.
    replay: BytesMut,
    pipelined: Pipelined,
    /// Bytes to send before anything else.
    to_send: BytesMut,
    /// The responses that the server owes, oldest first, up to that to the last own statement.
    owed: VecDeque<Response>,
    /// The row of the response at the start.
    row_at_start: Option<BytesMut>,
    /// The resets whose responses are owed, oldest first.
    resets: VecDeque<SentReset>,
    /// True once a reset has failed: the driver reads the reason, and then the end.
    is_ended: bool,
    /// True if the stream has been offered bytes of the driver and has not taken them.
    is_write_blocked: bool,
    /// Bytes that were received while responses to own statements are outstanding.
    received: BytesMut,
}

/// The response to the query that was sent at the start of the session.
pub(in crate::postgres) enum ResponseAtStart {
    /// The row of the query.
    Row(DataRowBody),
    /// An error, or the end of the session, which the driver sees too.
    Refused,
    /// Nothing within the time: a middlebox dropped the query, or the server is slow.
    Missing,
}

/// The part of the driver's StartupMessage that is still to come.
enum Startup {
    Length(Vec<u8>),
    Left(usize),
}

impl<S> RewindStream<S> {
    pub(in crate::postgres) fn new(stream: S, replay: BytesMut) -> Self {
        Self {
            stream,
            startup: Startup::Length(Vec::new()),
            replay,
            pipelined: Pipelined::default(),
            to_send: BytesMut::new(),
            owed: VecDeque::new(),
            row_at_start: None,
            resets: VecDeque::new(),
            is_ended: false,
            is_write_blocked: false,
            received: BytesMut::new(),
        }
    }

    /// Creates a stream after the [early query](session_params::early_query) was sent.
    /// `received` are the bytes that followed the start of the session.
    pub(in crate::postgres) fn with_early_query(
        stream: S,
        replay: BytesMut,
        received: BytesMut,
    ) -> io::Result<Self> {
        let mut stream = Self {
            owed: VecDeque::from([Response::EarlyQuery]),
            received,
            ..Self::new(stream, replay)
        };
        stream.discard_responses()?;
        Ok(stream)
    }

    /// Returns the handle that adds statements ahead of the driver's next message.
    pub(in crate::postgres) fn pipelined(&self) -> Pipelined {
        self.pipelined.clone()
    }

    /// Swallows bytes of the driver's StartupMessage. Returns their number.
    fn swallow(&mut self, bytes: &[u8]) -> usize {
        match &mut self.startup {
            Startup::Length(head) => {
                let taken = bytes.len().min(LENGTH_BYTES - head.len());
                head.extend_from_slice(&bytes[..taken]);
                if let Ok(length) = <[u8; LENGTH_BYTES]>::try_from(head.as_slice()) {
                    let length = u32::from_be_bytes(length) as usize;
                    self.startup = Startup::Left(length.saturating_sub(LENGTH_BYTES));
                }
                taken
            }
            Startup::Left(left) => {
                let taken = bytes.len().min(*left);
                *left -= taken;
                taken
            }
        }
    }

    /// Returns whether the response to a query at the start of the session is not complete.
    fn owes_start(&self) -> bool {
        let start = [Response::EarlyQuery, Response::AtStart];
        self.owed.iter().any(|owed| start.contains(owed))
    }

    /// Removes the responses to own statements from the received bytes. Other messages are kept
    /// for the driver.
    fn discard_responses(&mut self) -> io::Result<()> {
        // Messages up to here are discarded, all at once in the end.
        let mut at = 0;
        while let Some(mut response) = self.owed.front().copied() {
            let Some(header) = Header::parse(&self.received[at..])? else {
                break;
            };
            let length = usize::try_from(header.len()).unwrap_or(usize::MAX);
            let Some(message) = self.received[at..].get(..length.saturating_add(1)) else {
                // A message this long is no response to a setting.
                if length > MAX_BYTES {
                    self.received.advance(at);
                    self.give_up();
                    return Ok(());
                }
                break;
            };
            let tag = header.tag();
            if response == Response::EarlyQuery && !matches!(tag, b'S' | b'N' | b'A') {
                if !answers_early_query(message) {
                    self.owed.pop_front();
                    continue;
                }
                response = Response::AtStart;
                self.owed[0] = response;
            }
            let is_kept = match tag {
                b'S' | b'N' | b'A' => true,
                _ if response == Response::Driver => true,
                b'E' if ends_session(message) => {
                    if response == Response::AtStart {
                        self.row_at_start = None;
                        self.owed[0] = Response::Statements;
                    }
                    true
                }
                // The server ignores the driver's request: its Sync is not yet there.
                b'E' if response == Response::Reset => {
                    let failure = ResetFailure::Refused(message);
                    self.pipelined.record_reset_failure(failure);
                    self.end(self.pipelined.unanswered_count() <= 1);
                    break;
                }
                b'E' => {
                    self.row_at_start = None;
                    false
                }
                b'D' if response == Response::AtStart => {
                    self.row_at_start = Some(message.into());
                    false
                }
                b'D' if response == Response::Statements => {
                    self.pipelined.record_row(message);
                    false
                }
                b'C' if response == Response::Reset => {
                    match self.resets.front_mut().map(|reset| reset.complete(message)) {
                        Some(ResetProgress::Incomplete) => {}
                        Some(ResetProgress::Complete) => {
                            self.resets.pop_front();
                            self.owed.pop_front();
                        }
                        // The request has been executed in the session as it was.
                        Some(ResetProgress::Replaced) | None => {
                            self.pipelined.record_reset_failure(ResetFailure::Replaced);
                            self.end(false);
                            break;
                        }
                    }
                    false
                }
                // The server has skipped a part of the reset.
                b'Z' if response == Response::Reset => {
                    self.end(false);
                    break;
                }
                b'1' | b'2' | b'T' | b'D' | b'C' | b's' | b'Z' => false,
                _ => response != Response::Reset,
            };
            if is_kept {
                self.received.advance(at);
                at = 0;
                let message = self.received.split_to(length + 1);
                self.replay.unsplit(message);
            } else {
                at += length + 1;
            }
            if tag == b'Z' {
                self.owed.pop_front();
            }
        }
        if self.is_ended {
            self.received.clear();
            return Ok(());
        }
        self.received.advance(at);
        if self.owed.is_empty() {
            self.replay.unsplit(self.received.split());
        }
        Ok(())
    }

    /// Adds the driver's requests that the server has not answered to what it owes.
    fn owe_driver(&mut self, unanswered: usize) {
        let owed = self.owed.iter();
        let counted = owed.filter(|owed| **owed == Response::Driver).count();
        for _ in counted..unanswered {
            self.owed.push_back(Response::Driver);
        }
    }

    /// Returns the length of the response to a reset with which the received bytes begin, if it is
    /// the [usual one](SentReset::usual_response) and nothing else is owed.
    fn usual_reset_response(&self, received: &[u8]) -> Option<usize> {
        let usual = self.resets.front()?.usual_response()?;
        let is_next = self.owed == [Response::Reset] && self.received.is_empty();
        (is_next && received.starts_with(usual)).then_some(usual.len())
    }

    /// Ends the stream for the driver after a failed reset. `had_no_effect` is said of the
    /// requests that the driver has sent since.
    fn end(&mut self, had_no_effect: bool) {
        self.owed.clear();
        self.is_ended = true;
        self.replay.extend_from_slice(&failed_reset(had_no_effect));
    }

    /// Passes everything through from now on, since the server does not send what it owes; after
    /// a reset whose result is not known the stream ends.
    fn give_up(&mut self) {
        if self.owed.contains(&Response::Reset) {
            self.end(false);
            return;
        }
        self.owed.clear();
        self.replay.unsplit(self.received.split());
    }
}

impl<S: AsyncRead + Unpin> RewindStream<S> {
    /// Waits for the response to the query that was sent before the server was ready. It comes
    /// right behind the start of the session.
    ///
    /// # Errors
    ///
    /// The connection broke, the server does not follow the protocol, or it sends more than such a
    /// response takes.
    pub(in crate::postgres) async fn response_at_start(
        &mut self,
        limit: Duration,
    ) -> io::Result<ResponseAtStart> {
        let ended = async {
            // What the driver gets is kept until then, and the time alone does not limit it.
            let mut bytes = 0;
            while self.owes_start() {
                self.received.reserve(READ_BYTES);
                let read = self.stream.read_buf(&mut self.received).await?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                bytes += read;
                if bytes > MAX_BYTES {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "more data than expected at the start of a session",
                    ));
                }
                self.discard_responses()?;
            }
            Ok::<_, io::Error>(())
        };
        match timeout(limit, ended).await {
            Err(_) => return Ok(ResponseAtStart::Missing),
            Ok(ended) => ended?,
        }
        let Some(mut row) = self.row_at_start.take() else {
            return Ok(ResponseAtStart::Refused);
        };
        match Message::parse(&mut row)? {
            Some(Message::DataRow(row)) => Ok(ResponseAtStart::Row(row)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> RewindStream<S> {
    /// Sends a query of the SDK's own before the driver has the stream, and waits for the response.
    ///
    /// If the response to the early query is missing, a Sync goes ahead: its ReadyForQuery
    /// separates that response, if it comes yet, from the one to this query, which may both be
    /// errors.
    ///
    /// # Errors
    ///
    /// The connection broke, or the server does not follow the protocol.
    pub(in crate::postgres) async fn query_at_start(
        &mut self,
        query: &str,
        limit: Duration,
    ) -> io::Result<ResponseAtStart> {
        if self.owed.contains(&Response::EarlyQuery) {
            frontend::sync(&mut self.to_send);
            self.owed.push_back(Response::Statements);
        }
        frontend::query(query, &mut self.to_send)?;
        self.stream.write_all_buf(&mut self.to_send).await?;
        self.stream.flush().await?;
        self.owed.push_back(Response::AtStart);
        self.response_at_start(limit).await
    }
}

impl<S: AsyncWrite + Unpin> RewindStream<S> {
    /// Sends the pending bytes.
    fn poll_send_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.to_send.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.to_send))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.to_send.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RewindStream<S> {
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
            if this.is_ended {
                return Poll::Ready(Ok(()));
            }
            if this.owed.is_empty() {
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            if buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            // The driver's own buffer: one of ours would have to be filled with zeros first.
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            let new = &buf.filled()[before..];
            if new.is_empty() {
                this.owed.clear();
                this.replay.unsplit(this.received.split());
                if this.replay.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            } else if let Some(length) = this.usual_reset_response(new) {
                this.owed.clear();
                this.resets.clear();
                buf.filled_mut()[before..].copy_within(length.., 0);
                buf.set_filled(buf.filled().len() - length);
                if buf.filled().len() > before {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.received.extend_from_slice(new);
                buf.set_filled(before);
                this.discard_responses()?;
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RewindStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if !matches!(this.startup, Startup::Left(0)) {
            return Poll::Ready(Ok(this.swallow(buf)));
        }
        if this.is_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // Nothing goes into the middle of a message, nor ahead of bytes that the stream has been
        // offered: it may have sent some of them already.
        let may_go_ahead = buf.first() != Some(&TERMINATE) && !this.is_write_blocked;
        if may_go_ahead && !this.replay.is_empty() && this.pipelined.is_reset_pending() {
            // The tap still counts the requests whose responses are there, and the driver reads
            // before it writes again.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if may_go_ahead
            && let Some((Messages { reset, statements }, unanswered)) = this.pipelined.take()
        {
            this.owe_driver(unanswered);
            if let Some(messages) = reset {
                this.to_send.extend_from_slice(messages.bytes());
                this.owed.push_back(Response::Reset);
                this.resets.push_back(SentReset::new(messages));
            }
            if !statements.is_empty() {
                frontend::query(&statements, &mut this.to_send)?;
                this.owed.push_back(Response::Statements);
            }
            // Both go out in one flight and one TLS record.
            this.to_send.extend_from_slice(buf);
            if let Poll::Ready(Err(error)) = this.poll_send_pending(cx) {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_send_pending(cx))?;
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.is_write_blocked = written.is_pending();
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_pending(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_pending(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Returns whether the message begins the response to the early query, or is an error.
fn answers_early_query(message: &[u8]) -> bool {
    let name = session_params::AT_START.as_bytes();
    match message.first() {
        Some(b'T') => message.windows(name.len()).any(|window| window == name),
        tag => tag == Some(&b'E'),
    }
}

/// Returns whether an ErrorResponse has a severity that ends the session.
fn ends_session(message: &[u8]) -> bool {
    let fields = message.get(HEAD_BYTES..).unwrap_or_default();
    fields
        .split(|byte| *byte == 0)
        .any(|field| matches!(field, b"VFATAL" | b"VPANIC"))
}

/// Type of the message that ends a session: nothing goes ahead of it.
const TERMINATE: u8 = b'X';

const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = 5;
const READ_BYTES: usize = 4096;
/// Largest accepted response to a statement of the SDK's own, far more than a server sends.
const MAX_BYTES: usize = 64 * 1024;
