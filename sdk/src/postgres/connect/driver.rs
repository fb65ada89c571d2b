//! The handover of a started session to the driver (`tokio-postgres`).

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use deadpool_postgres::ClientWrapper;
use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tracing::Instrument as _;

use crate::error::{Error, ErrorKind};
use crate::log_line::with_causes;
use crate::meaning::Meaning;
use crate::postgres::connect::startup::RewindStream;
use crate::postgres::connect::tls;
use crate::postgres::connect::turns::{Turns, WithTurns};
use crate::postgres::protocol::{ClientStatements, Tap, Tapped};
use crate::stage::Stage;

/// A session that the driver runs.
pub(in crate::postgres) struct Driven {
    pub(in crate::postgres) client: ClientWrapper,
    /// The task that moves messages, until the client is dropped and the server has been told.
    pub(in crate::postgres) task: JoinHandle<()>,
    pub(in crate::postgres) turns: Arc<Turns>,
    pub(in crate::postgres) tap: Tap,
}

/// Hands a started session to the driver. `server` is `host:port`, for messages. If the session
/// `is_pooled`, the driver's prepared statements stay on the client's side. A message of the server
/// that is longer than `message_bytes` ends it.
pub(in crate::postgres) async fn drive(
    stream: RewindStream<tls::Stream>,
    stage: Stage,
    user: &str,
    server: &str,
    is_pooled: bool,
    message_bytes: NonZeroUsize,
) -> Result<Driven, Error> {
    let mut config = tokio_postgres::Config::new();
    config
        .user(user)
        // TLS is in place: the driver treats the stream as encrypted and negotiates nothing.
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct);
    let (stream, tap) = Tapped::new(stream, message_bytes.get());
    let stream = ClientStatements::new(stream, &tap, is_pooled);
    let driven = config.connect_raw(stream, AlreadyEncrypted).await;
    let (client, connection) = driven.map_err(|error| {
        Error::with_source(
            ErrorKind::DatabaseUnreachable,
            format!("the connection to {server} broke while the session started"),
            error,
        )
        .with_meaning(Meaning::Suspect)
    })?;
    let (connection, turns) = WithTurns::new(connection);
    let task = async move {
        match connection.await {
            Ok(()) => {}
            Err(error) if is_idle_timeout(&error) => {
                tracing::debug!(%error, "the server closed an idle connection");
            }
            Err(error) => {
                let reason = with_causes(&error);
                tracing::warn!(%reason, "a database connection broke");
            }
        }
    };
    // Not the span of the request that happens to open the connection.
    let span = tracing::info_span!(parent: None, "connection", %stage);
    let task = tokio::spawn(task.instrument(span));
    // The wrapper aborts its task on drop, before the server is told: it gets an empty one.
    let client = ClientWrapper::new(client, tokio::spawn(std::future::ready(())));
    let cache = Arc::clone(&client.statement_cache);
    tap.on_lost_statements(move || {
        let had_any = cache.size() > 0;
        cache.clear();
        had_any
    });
    Ok(Driven {
        client,
        task,
        turns,
        tap,
    })
}

/// Returns whether the server closed the session for `idle_session_timeout`.
fn is_idle_timeout(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == "57P05")
}

/// A TLS connector that returns its stream as it is: TLS is in place.
struct AlreadyEncrypted;

impl<S: TlsStream + Unpin> TlsConnect<S> for AlreadyEncrypted {
    type Stream = S;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<S>>;

    fn connect(self, stream: S) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

impl TlsStream for ClientStatements<Tapped<RewindStream<tls::Stream>>> {
    fn channel_binding(&self) -> ChannelBinding {
        // Authentication is over, so the driver binds nothing.
        ChannelBinding::none()
    }
}
