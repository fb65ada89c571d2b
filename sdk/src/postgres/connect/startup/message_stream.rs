//! The messages of a session's start, to and from the server.

use std::io;

use bytes::{BufMut as _, BytesMut};
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::postgres::protocol::ErrorResponse;

use super::{CancelKey, Failure, Reports, RewindStream, StartupParams};

/// A stream, and what has been read of it and is to be written to it.
pub(in crate::postgres) struct MessageStream<S> {
    stream: S,
    received: BytesMut,
    to_send: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> MessageStream<S> {
    pub(in crate::postgres) fn new(stream: S) -> Self {
        Self {
            stream,
            received: BytesMut::with_capacity(READ_BYTES),
            to_send: BytesMut::new(),
        }
    }

    /// The first message. No application_name: that would hide the database's own.
    pub(in crate::postgres) fn startup(
        &mut self,
        login: &StartupParams<'_>,
    ) -> Result<(), Failure> {
        let parameters = [
            ("client_encoding", Some("UTF8")),
            ("user", Some(login.user)),
            ("database", Some(login.database)),
            ("options", login.options),
        ];
        let given = parameters.into_iter();
        let given = given.filter_map(|(name, value)| Some((name, value?)));
        self.put(|buf| frontend::startup_message(given, buf))
    }

    /// Writes a message, to be sent with the next flush.
    pub(in crate::postgres) fn put(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> io::Result<()>,
    ) -> Result<(), Failure> {
        write(&mut self.to_send).map_err(Failure::Protocol)
    }

    pub(in crate::postgres) async fn flush(&mut self) -> Result<(), Failure> {
        self.stream
            .write_all_buf(&mut self.to_send)
            .await
            .map_err(Failure::Broken)?;
        self.stream.flush().await.map_err(Failure::Broken)
    }

    /// The next message that is not a notice. An error is a failure.
    pub(in crate::postgres) async fn message(&mut self) -> Result<Message, Failure> {
        loop {
            let mut frame = self.frame().await?;
            match parse(&mut frame)? {
                Message::NoticeResponse(_) => {}
                Message::ErrorResponse(body) => {
                    return Err(Failure::ErrorResponse(ErrorResponse::read(&body)));
                }
                message => return Ok(message),
            }
        }
    }

    /// What the server tells of itself until it is ready for queries: what of that
    /// matters here, and all of it as it came.
    pub(in crate::postgres) async fn until_ready(
        &mut self,
    ) -> Result<(Reports, CancelKey, BytesMut), Failure> {
        let mut reports = Reports::default();
        let mut key = CancelKey::default();
        let mut told = BytesMut::new();
        loop {
            let mut frame = self.frame().await?;
            if told.len() + frame.len() > MOST_BYTES {
                return Err(Failure::protocol("too much is told at the session's start"));
            }
            told.extend_from_slice(&frame);
            match parse(&mut frame)? {
                Message::ParameterStatus(body) => {
                    let name = body.name().map_err(Failure::Protocol)?;
                    reports.take(name, body.value().map_err(Failure::Protocol)?);
                }
                Message::BackendKeyData(body) => {
                    key = CancelKey {
                        process_id: body.process_id(),
                        secret_key: body.secret_key(),
                    };
                }
                Message::NoticeResponse(_) => {}
                Message::ReadyForQuery(_) => return Ok((reports, key, told)),
                Message::ErrorResponse(body) => {
                    return Err(Failure::ErrorResponse(ErrorResponse::read(&body)));
                }
                _ => return Err(Failure::protocol("an unexpected message")),
            }
        }
    }

    /// The stream for the driver, which hears all this as if it had just come, but not the
    /// answer to the terms.
    pub(in crate::postgres) fn into_opening(
        self,
        told: BytesMut,
        has_terms: bool,
    ) -> Result<RewindStream<S>, Failure> {
        let mut replay = BytesMut::with_capacity(AUTHENTICATED.len() + told.len());
        replay.put_slice(&AUTHENTICATED);
        replay.unsplit(told);
        if has_terms {
            let opening = RewindStream::with_terms(self.stream, replay, self.received);
            return opening.map_err(Failure::Protocol);
        }
        replay.unsplit(self.received);
        Ok(RewindStream::new(self.stream, replay))
    }

    /// The bytes of the next message.
    async fn frame(&mut self) -> Result<BytesMut, Failure> {
        loop {
            if let Some(header) = Header::parse(&self.received).map_err(Failure::Protocol)? {
                let length = usize::try_from(header.len()).unwrap_or(usize::MAX);
                if length > MOST_BYTES {
                    return Err(Failure::protocol("a message that is too long"));
                }
                if self.received.len() > length {
                    return Ok(self.received.split_to(length + TYPE_BYTES));
                }
            }
            self.received.reserve(READ_BYTES);
            let read = self.stream.read_buf(&mut self.received).await;
            if read.map_err(Failure::Broken)? == 0 {
                return Err(Failure::Broken(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

fn parse(frame: &mut BytesMut) -> Result<Message, Failure> {
    Message::parse(frame)
        .map_err(Failure::Protocol)?
        .ok_or_else(|| Failure::protocol("half a message"))
}

/// AuthenticationOk (postgresql.org/docs/18/protocol-message-formats.html).
const AUTHENTICATED: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 0];

const TYPE_BYTES: usize = 1;

/// More than a session's start needs: it is read at once.
const READ_BYTES: usize = 2048;

/// More than any honest server says before the first query.
const MOST_BYTES: usize = 256 * 1024;
