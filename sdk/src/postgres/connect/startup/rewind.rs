//! A stream to a server on which the session has started already, for a driver that starts one.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use postgres_protocol::message::backend::Header;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::session_params;

/// A stream to a server with a started session.
///
/// The driver's start-up message goes nowhere, and what it hears to it is what the
/// server has said already. Statements of our own, see [`Pipelined`], go ahead of the driver's
/// next, in the same flight, and their answer does not reach it; nor does that to the terms
/// that were sent while the session started. Else the stream is what it was.
pub(in crate::postgres) struct RewindStream<S> {
    stream: S,
    startup: Startup,
    /// What the driver has to hear before anything else.
    replay: BytesMut,
    ahead: Pipelined,
    /// What is to be sent before anything else.
    to_send: BytesMut,
    /// How many answers to what was sent ahead are still to come.
    skims: usize,
    /// Whether the first of these is to the terms, which went out before the server was ready:
    /// it comes only if nobody in between has lost them.
    may_lack_terms: bool,
    /// What has been read while answers are looked through.
    read: BytesMut,
}

/// What goes ahead of the driver's next message, in the same flight: statements, of whose
/// answer is kept whether it holds the word that the database is [crowded](session_params::CROWDED).
#[derive(Clone, Debug, Default)]
pub(in crate::postgres) struct Pipelined(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Looked at with each write.
    is_any: AtomicBool,
    statements: Mutex<String>,
    is_crowded: AtomicBool,
}

impl Pipelined {
    /// Adds statements. Nothing may be under way on the connection, so that the next that the
    /// driver sends is the beginning of a message and the next that the server does is the
    /// answer to these.
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

    /// Whether the server has answered with that word since this was asked.
    pub(in crate::postgres) fn take_near_limit(&self) -> bool {
        self.0.is_crowded.swap(false, Ordering::Relaxed)
    }

    fn take(&self) -> Option<String> {
        let is_any = self.0.is_any.swap(false, Ordering::Acquire);
        is_any.then(|| std::mem::take(&mut *self.statements()))
    }

    /// A row of the answer has come.
    fn has_row(&self, message: &[u8]) {
        if message.ends_with(session_params::NEAR_LIMIT.as_bytes()) {
            self.0.is_crowded.store(true, Ordering::Relaxed);
        }
    }

    fn statements(&self) -> MutexGuard<'_, String> {
        let statements = self.0.statements.lock();
        statements.unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of the driver's start-up message has come.
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
            ahead: Pipelined::default(),
            to_send: BytesMut::new(),
            skims: 0,
            may_lack_terms: false,
            read: BytesMut::new(),
        }
    }

    /// The same where the server has been sent [the terms](session_params::at_start) already, with
    /// what has been read behind the start.
    pub(in crate::postgres) fn with_terms(
        stream: S,
        replay: BytesMut,
        read: BytesMut,
    ) -> io::Result<Self> {
        let mut opening = Self {
            skims: 1,
            may_lack_terms: true,
            read,
            ..Self::new(stream, replay)
        };
        opening.discard_responses()?;
        Ok(opening)
    }

    /// What goes ahead of the driver's next message.
    pub(in crate::postgres) fn ahead(&self) -> Pipelined {
        self.ahead.clone()
    }

    /// Takes what is the driver's start-up message. How much that was.
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

    /// Looks through what has been read for the answer to what was sent ahead: what is no
    /// part of it is the driver's.
    fn discard_responses(&mut self) -> io::Result<()> {
        while self.skims > 0 {
            let Some(header) = Header::parse(&self.read)? else {
                return Ok(());
            };
            let length = usize::try_from(header.len()).unwrap_or(usize::MAX);
            if self.read.len() <= length {
                // A message that goes on and on is no answer to a setting.
                if length > MOST_BYTES {
                    self.skims = 0;
                }
                break;
            }
            if self.may_lack_terms && !matches!(header.tag(), b'S' | b'N' | b'A') {
                self.may_lack_terms = false;
                if !answers_terms(&self.read[..=length]) {
                    self.skims -= 1;
                    continue;
                }
            }
            let message = self.read.split_to(length + 1);
            match header.tag() {
                b'Z' => self.skims -= 1,
                b'D' => self.ahead.has_row(&message),
                b'T' | b'C' => {}
                b'E' if !ends_session(&message) => {}
                _ => self.replay.unsplit(message),
            }
        }
        if self.skims == 0 {
            self.replay.unsplit(self.read.split());
        }
        Ok(())
    }
}

impl<S: AsyncWrite + Unpin> RewindStream<S> {
    /// Sends what is to be sent before anything else.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
            if this.skims == 0 {
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            let mut space = [0; READ_BYTES];
            let mut space = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut space))?;
            if space.filled().is_empty() {
                this.skims = 0;
                this.replay.unsplit(this.read.split());
                if this.replay.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.read.extend_from_slice(space.filled());
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
        if let Some(statements) = this.ahead.take() {
            frontend::query(&statements, &mut this.to_send)?;
            this.skims += 1;
            // One flight, and one record of TLS.
            this.to_send.extend_from_slice(buf);
            if let Poll::Ready(Err(error)) = this.poll_ahead(cx) {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_ahead(cx))?;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ahead(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ahead(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Whether this is the beginning of the answer to the terms, or why there is none.
fn answers_terms(message: &[u8]) -> bool {
    let name = session_params::AT_START.as_bytes();
    match message.first() {
        Some(b'T') => message.windows(name.len()).any(|window| window == name),
        tag => tag == Some(&b'E'),
    }
}

/// Whether an ErrorResponse has the severity that ends a session.
fn ends_session(message: &[u8]) -> bool {
    let fields = message.get(HEAD_BYTES..).unwrap_or_default();
    fields
        .split(|byte| *byte == 0)
        .any(|field| matches!(field, b"VFATAL" | b"VPANIC"))
}

const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = 5;
const READ_BYTES: usize = 4096;
const MOST_BYTES: usize = 64 * 1024;
