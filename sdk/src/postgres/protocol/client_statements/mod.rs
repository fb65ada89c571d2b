//! Prepared statements on the client's side, for a connection to a transaction pooler.
//!
//! A transaction pooler runs each transaction on any of its sessions, so a statement that one of
//! them has prepared is missing in the next, or is another client's. The driver prepares
//! statements for its own look-ups of types too, and has no way to do without. Therefore
//! [`ClientStatements`] keeps them on the client's side. It sends
//!
//! - a Parse with a name as one of the unnamed statement, and remembers the text and, from the
//!   server's description, the types of the parameters and columns;
//! - ahead of each Bind of such a statement its Parse, in the same flight, and drops the response
//!   to it;
//! - no Close: it makes up the response.
//!
//! Behind a COPY nothing is sent until it has ended, since a pooler may lose count of the requests. A
//! COPY from the client is sent with a Flush in place of the Sync ahead of its data: so it has one
//! ReadyForQuery however it ends, and none is left for the next client of the pooler's session.
//!
//! So no statement has a name in a pooler's session, and no round trip is added.
//!
//! A statement that returns rows is described again in the same flight. If a migration has changed
//! the columns since the driver prepared it, the driver gets the error that Postgres gives for a
//! prepared statement, since it would read the rows as what they are not. Another number of
//! columns makes the server refuse the statement before it is executed (by the list of formats in
//! Bind). Another type or name, or more columns than one, shows when the server has executed it: the
//! error says so, and the [tap](super::Tap) beneath has seen the effect.

mod exchange;
mod messages;
#[cfg(any(test, feature = "testing"))]
mod rehearsal;
mod requests;
mod responses;
mod statement;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::exchange::Exchange;
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::rehearsal::rehearse_client_statements;
use self::requests::Requests;
use self::responses::Responses;
use crate::postgres::protocol::Tap;
use crate::postgres::protocol::outcome::StatementLoss;

/// A stream that keeps the driver's prepared statements on the client's side, if it is to a pooler.
/// It has to begin before the StartupMessage.
pub(in crate::postgres) struct ClientStatements<S> {
    stream: S,
    rewriting: Option<Box<Rewriting>>,
}

/// The rewriting of a conversation. Pure: it does no I/O.
pub(super) struct Conversation {
    exchange: Exchange,
    requests: Requests,
    responses: Responses,
}

struct Rewriting {
    conversation: Conversation,
    tap: Tap,
    /// Bytes for the server.
    to_send: BytesMut,
    /// Bytes for the driver.
    received: BytesMut,
    /// The end of the conversation, which the driver reads behind those bytes.
    failure: Option<io::Error>,
    space: Box<[u8]>,
    /// The task that waits for bytes from the server.
    reader: Option<Waker>,
    /// The task that waits for the end of a COPY.
    writer: Option<Waker>,
}

impl Conversation {
    pub(super) fn new() -> Self {
        Self {
            exchange: Exchange::new(),
            requests: Requests::new(),
            responses: Responses::new(),
        }
    }

    /// Takes bytes of the driver, and returns their number: none of those that may not be sent
    /// before a COPY has ended. Writes those for the server to `to_send`, and responses that no
    /// server has to give to `received`.
    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        to_send: &mut BytesMut,
        received: &mut BytesMut,
    ) -> io::Result<usize> {
        let mut left = bytes;
        self.requests.feed(&mut left, &mut self.exchange, to_send)?;
        self.responses.make_up(&mut self.exchange, received)?;
        self.send_due_sync(to_send)?;
        Ok(bytes.len() - left.len())
    }

    /// Takes bytes of the server. Writes those for the driver to `received`, and a Sync that was
    /// held back and is due to `to_send`.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        to_send: &mut BytesMut,
        received: &mut BytesMut,
    ) -> io::Result<()> {
        self.responses.feed(bytes, &mut self.exchange, received)?;
        self.send_due_sync(to_send)
    }

    fn send_due_sync(&mut self, to_send: &mut BytesMut) -> io::Result<()> {
        if self.requests.is_between_messages() && self.exchange.take_due_sync() {
            messages::write(to_send, b'S', &[])?;
        }
        Ok(())
    }

    /// Returns whether a statement turned out to be outdated, and clears that.
    pub(super) fn take_outdated(&mut self) -> bool {
        self.responses.take_outdated()
    }
}

impl<S> ClientStatements<S> {
    /// Wraps a stream with a tap. The statements are kept on the client's side if `is_pooled`;
    /// otherwise everything passes.
    pub(in crate::postgres) fn new(stream: S, tap: &Tap, is_pooled: bool) -> Self {
        let rewriting = is_pooled.then(|| {
            Box::new(Rewriting {
                conversation: Conversation::new(),
                tap: tap.clone(),
                to_send: BytesMut::new(),
                received: BytesMut::new(),
                failure: None,
                space: vec![0; READ_BYTES].into_boxed_slice(),
                reader: None,
                writer: None,
            })
        });
        Self { stream, rewriting }
    }
}

impl Rewriting {
    /// Rewrites some bytes of the driver, and returns their number.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let had = self.received.len();
        let sent = self
            .conversation
            .send(bytes, &mut self.to_send, &mut self.received);
        let taken = sent.inspect_err(|_| self.tap.record_end())?;
        if self.received.len() > had
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
        Ok(taken)
    }

    /// Rewrites some bytes of the server. What that adds for the server is sent by the driver's
    /// next flush: its task flushes whenever it has read.
    fn receive(&mut self, length: usize) {
        let received =
            self.conversation
                .receive(&self.space[..length], &mut self.to_send, &mut self.received);
        if self.conversation.take_outdated() {
            self.tap.record_lost_statements(StatementLoss::Failed);
        }
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        if let Err(error) = received {
            self.tap.record_end();
            self.failure = Some(error);
        }
    }

    /// Sends the rewritten bytes.
    fn poll_send(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.to_send.is_empty() {
            let sent = ready!(Pin::new(&mut *stream).poll_write(cx, &self.to_send))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.to_send.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> ClientStatements<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.rewriting {
            Some(rewriting) => rewriting.poll_send(&mut self.stream, cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStatements<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, rewriting } = &mut *self;
        let Some(rewriting) = rewriting else {
            return Pin::new(stream).poll_read(cx, buf);
        };
        while rewriting.received.is_empty() {
            if let Some(failure) = rewriting.failure.take() {
                return Poll::Ready(Err(failure));
            }
            let mut space = ReadBuf::new(&mut rewriting.space);
            let Poll::Ready(read) = Pin::new(&mut *stream).poll_read(cx, &mut space) else {
                rewriting.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            read?;
            let length = space.filled().len();
            if length == 0 {
                return Poll::Ready(Ok(()));
            }
            rewriting.receive(length);
        }
        let now = rewriting.received.len().min(buf.remaining());
        buf.put_slice(&rewriting.received[..now]);
        rewriting.received.advance(now);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientStatements<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, rewriting } = &mut *self;
        let Some(rewriting) = rewriting else {
            return Pin::new(stream).poll_write(cx, buf);
        };
        if rewriting.to_send.len() >= SEND_BYTES {
            ready!(rewriting.poll_send(stream, cx))?;
        }
        let now = buf.len().min(SEND_BYTES);
        let taken = rewriting.send(&buf[..now])?;
        if taken == 0 && now > 0 {
            rewriting.writer = Some(cx.waker().clone());
            // Else the end of the COPY may not have been sent.
            ready!(rewriting.poll_send(stream, cx))?;
            ready!(Pin::new(stream).poll_flush(cx))?;
            return Poll::Pending;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

const READ_BYTES: usize = 8 * 1024;
/// Bytes that are rewritten at once, and kept until they are sent.
const SEND_BYTES: usize = 16 * 1024;
