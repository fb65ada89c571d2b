//! How to connect to a server as its superuser.

use std::fmt;
use std::io;
use std::time::Duration;

use native_tls::{Protocol, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config};

use crate::ServerUrl;
use crate::password::Password;
use crate::{Error, ErrorKind};

/// The superuser's way into a server.
///
/// The server's certificate is self-signed and so not verified. SCRAM with
/// channel binding is required instead: the server at the end of this very TLS
/// connection has to prove that it knows the password's verifier.
#[derive(Clone)]
pub(crate) struct Admin {
    config: Config,
    tls: MakeTlsConnector,
}

impl Admin {
    /// Into a server of ours on 127.0.0.1.
    pub(crate) fn local(port: u16, password: &Password) -> Result<Self, Error> {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(port)
            .user("postgres")
            .password(password.reveal())
            .dbname("postgres");
        Self::new(config)
    }

    /// Into a server that someone else runs.
    pub(crate) fn of(url: &ServerUrl) -> Result<Self, Error> {
        Self::new(url.config().clone())
    }

    fn new(mut config: Config) -> Result<Self, Error> {
        config
            .ssl_mode(SslMode::Require)
            .channel_binding(ChannelBinding::Require)
            .application_name("stagelink-local");
        let tls = TlsConnector::builder()
            .min_protocol_version(Some(Protocol::Tlsv12))
            .danger_accept_invalid_certs(true)
            .danger_accept_invalid_hostnames(true)
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::System, "could not set up TLS for Postgres").because(error)
            })?;
        Ok(Self {
            config,
            tls: MakeTlsConnector::new(tls),
        })
    }

    /// The same way, into a certain database.
    pub(crate) fn with_database(&self, name: &str) -> Self {
        let mut admin = self.clone();
        admin.config.dbname(name);
        admin
    }

    /// Connects once. The connection's task ends with the client.
    pub(crate) async fn try_connect(&self) -> Result<Client, Refusal> {
        match timeout(CONNECT_LIMIT, self.config.connect(self.tls.clone())).await {
            Ok(Ok((client, connection))) => {
                // A connection's failure also fails the client's next query, which tells it.
                tokio::spawn(async move { drop(connection.await) });
                Ok(client)
            }
            Ok(Err(error)) => Err(Refusal::Failed(error)),
            Err(_) => Err(Refusal::Silent),
        }
    }
}

/// Why a connection did not come about.
pub(crate) enum Refusal {
    Failed(tokio_postgres::Error),
    Silent,
}

impl Refusal {
    /// Whether the server is there and has decided: trying again is in vain.
    pub(crate) fn is_final(&self) -> bool {
        let Self::Failed(error) = self else {
            return false;
        };
        // Class 57 is "starting up" and "shutting down".
        error
            .code()
            .is_some_and(|code| !code.code().starts_with("57"))
    }

    pub(crate) fn into_error(self, what: &str) -> Error {
        self.because_of(Error::new(ErrorKind::Process, what))
    }

    /// The error with this as its cause.
    pub(crate) fn because_of(self, error: Error) -> Error {
        match self {
            Self::Failed(cause) => error.because(cause),
            Self::Silent => error.because(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Config's own Debug leaves the password out too, but that is its decision.
        f.write_str("Admin(_)")
    }
}

/// For TCP, TLS, SCRAM and the server's start-up of a session together.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
