//! The driver, which gets a stream on which the session has started already.

use std::error::Error as _;
use std::io;

use deadpool_postgres::ClientWrapper;
use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::error::{Error, ErrorKind};
use crate::postgres::connect::startup::RewindStream;
use crate::postgres::connect::tls;
use crate::postgres::protocol::{Tap, Tapped};
use crate::postgres::sqlstate::Staleness;

/// A session in the hands of the driver.
pub(in crate::postgres) struct Driven {
    pub(in crate::postgres) client: ClientWrapper,
    /// Moves what is sent and received, until the client is dropped and the server knows.
    pub(in crate::postgres) task: JoinHandle<()>,
    pub(in crate::postgres) tap: Tap,
}

/// Gives a session to the driver. `server` is `host:port`, for messages.
pub(in crate::postgres) async fn drive(
    stream: RewindStream<tls::Stream>,
    user: &str,
    server: &str,
) -> Result<Driven, Error> {
    let mut config = tokio_postgres::Config::new();
    config
        .user(user)
        // The handshake is over: the driver takes the stream as encrypted.
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct);
    let (stream, tap) = Tapped::new(stream);
    let driven = config.connect_raw(stream, Encrypted).await;
    let (client, connection) = driven.map_err(|error| {
        Error::with_source(
            ErrorKind::DatabaseUnreachable,
            format!("the connection to {server} broke as the session began"),
            error,
        )
        .with_staleness(Staleness::Suspect)
    })?;
    let task = tokio::spawn(async move {
        match connection.await {
            Ok(()) => {}
            Err(error) if is_reaped(&error) => tracing::debug!(%error, "a connection was idle"),
            Err(error) => {
                tracing::warn!(%error, cause = error.source(), "a database connection broke");
            }
        }
    });
    // The wrapper would end the task when it is dropped, before the server is told.
    let client = ClientWrapper::new(client, tokio::spawn(std::future::ready(())));
    Ok(Driven { client, task, tap })
}

/// Whether the server has ended a session that was idle for long (idle_session_timeout), as it
/// was told to.
fn is_reaped(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == "57P05")
}

/// Hands the driver a stream on which the handshake is over already.
struct Encrypted;

impl<S: TlsStream + Unpin> TlsConnect<S> for Encrypted {
    type Stream = S;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<S>>;

    fn connect(self, stream: S) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

impl TlsStream for Tapped<RewindStream<tls::Stream>> {
    fn channel_binding(&self) -> ChannelBinding {
        // The authentication is over, too.
        ChannelBinding::none()
    }
}
