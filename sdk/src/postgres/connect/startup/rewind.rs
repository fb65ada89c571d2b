//! A stream whose session has started, for the driver, which expects to start it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use postgres_protocol::message::backend::{DataRowBody, Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::session_params;

/// A stream to a server with a started session.
///
/// It swallows the driver's StartupMessage and replays the server's earlier messages in reply.
/// The SDK's own statements ([`Pipelined`]) are sent ahead of the driver's next message, in the
/// same flight, and the driver does not see their responses; nor the response to the session
/// parameters that were sent while the session started. Everything else passes through.
pub(in crate::postgres) struct RewindStream<S> {
    stream: S,
    startup: Startup,
    /// Bytes that the driver reads before anything else.
    replay: BytesMut,
    pipelined: Pipelined,
    /// Bytes to send before anything else.
    to_send: BytesMut,
    /// Number of responses to own statements that are outstanding.
    responses_to_discard: usize,
    at_start: AtStart,
    /// The row of the response at the start.
    row_at_start: Option<BytesMut>,
    /// Bytes that were received while responses are outstanding.
    received: BytesMut,
}

/// The state of the response to the statements that were sent before the server was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtStart {
    /// None of it has come, and none will if a middlebox dropped the statements.
    Awaited,
    /// It has begun.
    Begun,
    /// It is complete, or there is none.
    Ended,
}

/// The response to the statements that were sent before the server was ready.
pub(in crate::postgres) enum ResponseAtStart {
    /// The row of the first statement.
    Row(DataRowBody),
    /// An error, or the end of the session, which the driver sees too.
    Refused,
    /// Nothing within the time: a middlebox dropped the statements, or the server is slow.
    Missing,
}

/// Statements to send ahead of the driver's next message, in the same flight.
///
/// Of their responses only one fact is kept: whether a row says that the database is
/// [near its connection limit](session_params::NEAR_LIMIT).
#[derive(Clone, Debug, Default)]
pub(in crate::postgres) struct Pipelined(Arc<Pending>);

#[derive(Debug, Default)]
struct Pending {
    /// Checked with each write, so it is not behind the lock.
    is_any: AtomicBool,
    statements: Mutex<String>,
    is_near_limit: AtomicBool,
}

impl Pipelined {
    /// Adds statements. The connection has to be idle: the next bytes from the driver must be the
    /// start of a message, and the next from the server the response to these statements.
    pub(in crate::postgres) fn add(&self, statements: &str) {
        if statements.is_empty() {
            return;
        }
        let mut all = self.statements();
        if !all.is_empty() {
            all.push_str("; ");
        }
        all.push_str(statements);
        self.0.is_any.store(true, Ordering::Release);
    }

    /// Returns whether a response said that the database is near its connection limit, and clears
    /// that.
    pub(in crate::postgres) fn take_near_limit(&self) -> bool {
        self.0.is_near_limit.swap(false, Ordering::Relaxed)
    }

    fn take(&self) -> Option<String> {
        let is_any = self.0.is_any.swap(false, Ordering::Acquire);
        is_any.then(|| std::mem::take(&mut *self.statements()))
    }

    /// Inspects a row of a response.
    fn record_row(&self, message: &[u8]) {
        if message.ends_with(session_params::NEAR_LIMIT.as_bytes()) {
            self.0.is_near_limit.store(true, Ordering::Relaxed);
        }
    }

    fn statements(&self) -> MutexGuard<'_, String> {
        let statements = self.0.statements.lock();
        statements.unwrap_or_else(PoisonError::into_inner)
    }
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
            responses_to_discard: 0,
            at_start: AtStart::Ended,
            row_at_start: None,
            received: BytesMut::new(),
        }
    }

    /// Creates a stream after the [session parameters](session_params::with_stage_mark) were sent.
    /// `received` are the bytes that followed the start of the session.
    pub(in crate::postgres) fn with_session_params(
        stream: S,
        replay: BytesMut,
        received: BytesMut,
    ) -> io::Result<Self> {
        let mut stream = Self {
            responses_to_discard: 1,
            at_start: AtStart::Awaited,
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

    /// Removes the responses to own statements from the received bytes. Other messages are kept
    /// for the driver.
    fn discard_responses(&mut self) -> io::Result<()> {
        while self.responses_to_discard > 0 {
            let Some(header) = Header::parse(&self.received)? else {
                return Ok(());
            };
            let length = usize::try_from(header.len()).unwrap_or(usize::MAX);
            if self.received.len() <= length {
                // A message this long is no response to a setting.
                if length > MAX_BYTES {
                    self.responses_to_discard = 0;
                    self.at_start = AtStart::Ended;
                }
                break;
            }
            if self.at_start == AtStart::Awaited && !matches!(header.tag(), b'S' | b'N' | b'A') {
                if !answers_session_params(&self.received[..=length]) {
                    self.at_start = AtStart::Ended;
                    self.responses_to_discard -= 1;
                    continue;
                }
                self.at_start = AtStart::Begun;
            }
            let message = self.received.split_to(length + 1);
            match header.tag() {
                b'Z' => {
                    self.responses_to_discard -= 1;
                    self.at_start = AtStart::Ended;
                }
                b'D' if self.at_start == AtStart::Begun => self.row_at_start = Some(message),
                b'D' => self.pipelined.record_row(&message),
                b'T' | b'C' => {}
                b'E' => {
                    self.row_at_start = None;
                    if ends_session(&message) {
                        self.at_start = AtStart::Ended;
                        self.replay.unsplit(message);
                    }
                }
                _ => self.replay.unsplit(message),
            }
        }
        if self.responses_to_discard == 0 {
            self.replay.unsplit(self.received.split());
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> RewindStream<S> {
    /// Waits for the response to the statements that were sent before the server was ready. It
    /// comes right behind the start of the session.
    ///
    /// # Errors
    ///
    /// The connection broke, or the server does not follow the protocol.
    pub(in crate::postgres) async fn response_at_start(
        &mut self,
        limit: Duration,
    ) -> io::Result<ResponseAtStart> {
        let ended = async {
            while self.at_start != AtStart::Ended {
                self.received.reserve(READ_BYTES);
                if self.stream.read_buf(&mut self.received).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
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
            if this.responses_to_discard == 0 {
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            let mut space = [0; READ_BYTES];
            let mut space = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut space))?;
            if space.filled().is_empty() {
                this.responses_to_discard = 0;
                this.replay.unsplit(this.received.split());
                if this.replay.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.received.extend_from_slice(space.filled());
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
        if let Some(statements) = this.pipelined.take() {
            frontend::query(&statements, &mut this.to_send)?;
            this.responses_to_discard += 1;
            // Both go out in one flight and one TLS record.
            this.to_send.extend_from_slice(buf);
            if let Poll::Ready(Err(error)) = this.poll_send_pending(cx) {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_send_pending(cx))?;
        Pin::new(&mut this.stream).poll_write(cx, buf)
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

/// Returns whether the message begins the response to the session parameters, or is an error.
fn answers_session_params(message: &[u8]) -> bool {
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

const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = 5;
const READ_BYTES: usize = 4096;
const MAX_BYTES: usize = 64 * 1024;
