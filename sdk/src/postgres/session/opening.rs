//! A stream to a server on which the session has started already, for a driver that starts one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use postgres_protocol::message::backend::Header;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream to a server with a started session.
///
/// The driver's start-up message goes nowhere, and what it hears to it is what the
/// server has said already. With [`call_it`](Self::call_it) one more statement goes
/// ahead of the driver's first, in the same flight, and its answer goes nowhere
/// either. After that the stream is what it was.
pub(in crate::postgres) struct Opening<S> {
    stream: S,
    startup: Startup,
    /// What the driver has to hear before anything else.
    replay: BytesMut,
    /// What is to be sent before anything else.
    ahead: BytesMut,
    /// Whether the driver's first message is behind that by now.
    joined: bool,
    /// Whether the answer to what was sent ahead is still to come.
    skims: bool,
    /// What has been read while answers are looked through.
    read: BytesMut,
}

/// How much of the driver's start-up message has come.
enum Startup {
    Length(Vec<u8>),
    Left(usize),
}

impl<S> Opening<S> {
    pub(super) fn new(stream: S, replay: BytesMut) -> Self {
        Self {
            stream,
            startup: Startup::Length(Vec::new()),
            replay,
            ahead: BytesMut::new(),
            joined: false,
            skims: false,
            read: BytesMut::new(),
        }
    }

    /// Gives the session a name in `pg_stat_activity`, with the first that is sent.
    pub(in crate::postgres) fn call_it(&mut self, name: &str) {
        let name: String = name
            .chars()
            .filter(|c| !c.is_control() && *c != '\\')
            .collect();
        let statement = format!("SET application_name TO '{}'", name.replace('\'', "''"));
        // It holds no zero byte, which is all that could fail.
        if frontend::query(&statement, &mut self.ahead).is_ok() {
            self.skims = true;
        }
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

    /// Looks through what has been read for the answer to what was sent ahead: its
    /// result and its end are dropped, and all else is the driver's.
    fn skim(&mut self) -> io::Result<()> {
        while let Some(header) = Header::parse(&self.read)? {
            let length = usize::try_from(header.len()).unwrap_or(usize::MAX);
            if self.read.len() <= length {
                // A message that goes on and on is no answer to a SET.
                if length > MOST_BYTES {
                    self.skims = false;
                    break;
                }
                return Ok(());
            }
            let message = self.read.split_to(length + 1);
            match header.tag() {
                b'Z' => {
                    self.skims = false;
                    break;
                }
                b'C' => {}
                b'E' if !ends_session(&message) => {}
                _ => self.replay.unsplit(message),
            }
        }
        if !self.skims {
            self.replay.unsplit(self.read.split());
        }
        Ok(())
    }
}

impl<S: AsyncWrite + Unpin> Opening<S> {
    /// Sends what is to be sent before anything else.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.ahead.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.ahead))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.ahead.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
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
            // Before it is sent there is no answer to it.
            if !this.skims || !this.joined {
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            let mut space = [0; READ_BYTES];
            let mut space = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut space))?;
            if space.filled().is_empty() {
                this.skims = false;
                this.replay.unsplit(this.read.split());
                if this.replay.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.read.extend_from_slice(space.filled());
                this.skim()?;
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if !matches!(this.startup, Startup::Left(0)) {
            return Poll::Ready(Ok(this.swallow(buf)));
        }
        if this.ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        }
        if !this.joined {
            // One flight, and one record of TLS.
            this.joined = true;
            this.ahead.extend_from_slice(buf);
            if let Poll::Ready(Err(error)) = this.poll_ahead(cx) {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_ahead(cx))?;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.joined {
            ready!(self.poll_ahead(cx))?;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.joined {
            ready!(self.poll_ahead(cx))?;
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
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
