//! A stream of protocol messages, used while a session starts.

use std::io;

use bytes::{BufMut as _, BytesMut};
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::postgres::protocol::ErrorResponse;

use super::{CancelKey, Reports, RewindStream, StartupError, StartupParams};

/// A stream with a buffer of received bytes and one of messages to send.
pub(in crate::postgres) struct MessageStream<S> {
    stream: S,
    received: BytesMut,
    to_send: BytesMut,
}

/// The messages between a successful login and ReadyForQuery.
#[derive(Default)]
pub(super) struct ReadySession {
    pub(super) reports: Reports,
    pub(super) cancel_key: CancelKey,
    pub(super) notices: Vec<ErrorResponse>,
    /// The bytes of all messages but the notices.
    pub(super) received: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> MessageStream<S> {
    pub(in crate::postgres) fn new(stream: S) -> Self {
        Self {
            stream,
            received: BytesMut::with_capacity(READ_BYTES),
            to_send: BytesMut::new(),
        }
    }

    /// Queues the StartupMessage. It carries no application_name: whether the server is a pooler,
    /// whose sessions other clients share, shows only in its answer.
    pub(in crate::postgres) fn put_startup(
        &mut self,
        params: &StartupParams<'_>,
    ) -> Result<(), StartupError> {
        let parameters = [
            ("client_encoding", Some("UTF8")),
            ("user", Some(params.user)),
            ("database", Some(params.database)),
            ("options", params.options),
        ];
        let given = parameters.into_iter();
        let given = given.filter_map(|(name, value)| Some((name, value?)));
        self.put(|buf| frontend::startup_message(given, buf))
    }

    /// Queues a message for the next flush.
    pub(in crate::postgres) fn put(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> io::Result<()>,
    ) -> Result<(), StartupError> {
        write(&mut self.to_send).map_err(StartupError::Protocol)
    }

    pub(in crate::postgres) async fn flush(&mut self) -> Result<(), StartupError> {
        self.stream
            .write_all_buf(&mut self.to_send)
            .await
            .map_err(StartupError::Io)?;
        self.stream.flush().await.map_err(StartupError::Io)
    }

    /// Receives the next message that is not a notice. An ErrorResponse is an error.
    pub(in crate::postgres) async fn receive(&mut self) -> Result<Message, StartupError> {
        loop {
            let mut frame = self.frame().await?;
            match parse(&mut frame)? {
                Message::NoticeResponse(_) => {}
                Message::ErrorResponse(body) => {
                    return Err(StartupError::ErrorResponse(ErrorResponse::read(&body)));
                }
                message => return Ok(message),
            }
        }
    }

    /// Receives messages until ReadyForQuery. Returns the reported settings, the cancel key, the
    /// notices, and the bytes of all other messages as they came.
    pub(super) async fn read_until_ready(&mut self) -> Result<ReadySession, StartupError> {
        let mut session = ReadySession::default();
        let mut bytes = 0;
        loop {
            let mut frame = self.frame().await?;
            bytes += frame.len();
            if bytes > MAX_BYTES {
                return Err(StartupError::protocol(
                    "more data than expected at the start of a session",
                ));
            }
            let before = session.received.len();
            session.received.extend_from_slice(&frame);
            match parse(&mut frame)? {
                Message::ParameterStatus(body) => {
                    let name = body.name().map_err(StartupError::Protocol)?;
                    let value = body.value().map_err(StartupError::Protocol)?;
                    session.reports.record(name, value);
                }
                Message::BackendKeyData(body) => {
                    session.cancel_key = CancelKey {
                        process_id: body.process_id(),
                        secret_key: body.secret_key(),
                    };
                }
                Message::NoticeResponse(body) => {
                    // The driver would log it as it is, for each session.
                    session.received.truncate(before);
                    session
                        .notices
                        .push(ErrorResponse::of_fields(body.fields()));
                }
                Message::ReadyForQuery(_) => return Ok(session),
                Message::ErrorResponse(body) => {
                    return Err(StartupError::ErrorResponse(ErrorResponse::read(&body)));
                }
                _ => return Err(StartupError::protocol("an unexpected message")),
            }
        }
    }

    /// Turns into a stream for the driver, which replays `startup` and leaves out the response to
    /// the early query.
    pub(in crate::postgres) fn into_rewind_stream(
        self,
        startup: BytesMut,
        has_early_query: bool,
    ) -> Result<RewindStream<S>, StartupError> {
        let mut replay = BytesMut::with_capacity(AUTHENTICATION_OK.len() + startup.len());
        replay.put_slice(&AUTHENTICATION_OK);
        replay.unsplit(startup);
        if has_early_query {
            let stream = RewindStream::with_early_query(self.stream, replay, self.received);
            return stream.map_err(StartupError::Protocol);
        }
        replay.unsplit(self.received);
        Ok(RewindStream::new(self.stream, replay))
    }

    /// Reads the bytes of the next message.
    async fn frame(&mut self) -> Result<BytesMut, StartupError> {
        loop {
            if let Some(header) = Header::parse(&self.received).map_err(StartupError::Protocol)? {
                let length = usize::try_from(header.len()).unwrap_or(usize::MAX);
                if length > MAX_BYTES {
                    return Err(StartupError::protocol("a message over the size limit"));
                }
                if self.received.len() > length {
                    return Ok(self.received.split_to(length + TYPE_BYTES));
                }
            }
            self.received.reserve(READ_BYTES);
            let read = self.stream.read_buf(&mut self.received).await;
            if read.map_err(StartupError::Io)? == 0 {
                return Err(StartupError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

fn parse(frame: &mut BytesMut) -> Result<Message, StartupError> {
    Message::parse(frame)
        .map_err(StartupError::Protocol)?
        .ok_or_else(|| StartupError::protocol("an incomplete message"))
}

/// AuthenticationOk (postgresql.org/docs/18/protocol-message-formats.html).
const AUTHENTICATION_OK: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 0];

const TYPE_BYTES: usize = 1;

/// Size of a read: enough for all messages of a session's start.
const READ_BYTES: usize = 2048;

/// Largest accepted amount before the first query, far more than a server sends.
const MAX_BYTES: usize = 256 * 1024;
