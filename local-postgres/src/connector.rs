//! Connects to a server over TLS, with SCRAM channel binding as the proof of its identity.

use std::fmt;
use std::io;
use std::time::Duration;

use native_tls::{Protocol, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config};

use crate::password::Password;
use crate::{Database, Error, ErrorKind, ServerUrl};

/// Opens connections to one server, as its superuser or as a database's owner.
///
/// The server's certificate is self-signed and therefore not verified. SCRAM
/// with channel binding is required instead: the server at the other end of
/// this TLS connection must prove that it knows the password's verifier.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    tls: MakeTlsConnector,
}

impl Connector {
    /// Creates a connector to a server of this crate, on 127.0.0.1.
    pub(crate) fn for_local(port: u16, password: &Password) -> Result<Self, Error> {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(port)
            .user("postgres")
            .password(password.expose())
            .dbname("postgres");
        Self::new(config)
    }

    /// Creates a connector to a running server by its URL.
    pub(crate) fn for_url(url: &ServerUrl) -> Result<Self, Error> {
        Self::new(url.config().clone())
    }

    fn new(mut config: Config) -> Result<Self, Error> {
        config
            .ssl_mode(SslMode::Require)
            .channel_binding(ChannelBinding::Require)
            .application_name("stagelink-local-postgres");
        let tls = TlsConnector::builder()
            .min_protocol_version(Some(Protocol::Tlsv12))
            .danger_accept_invalid_certs(true)
            .danger_accept_invalid_hostnames(true)
            .build()
            .map_err(|error| {
                let message = "could not set up TLS for connections to the server";
                Error::new(ErrorKind::System, message).with_source(error)
            })?;
        Ok(Self {
            config,
            tls: MakeTlsConnector::new(tls),
        })
    }

    /// Returns a connector of the same role to another database.
    pub(crate) fn with_database(&self, name: &str) -> Self {
        let mut connector = self.clone();
        connector.config.dbname(name);
        connector
    }

    /// Returns a connector to a database as the role that owns it.
    pub(crate) fn with_owner(&self, database: &Database) -> Self {
        let mut connector = self.with_database(database.name());
        let config = connector.config.user(database.role());
        config.password(database.password());
        connector
    }

    /// Returns a connector of another role to the same database.
    pub(crate) fn with_role(&self, role: &str, password: &Password) -> Self {
        let mut connector = self.clone();
        connector.config.user(role).password(password.expose());
        connector
    }

    /// Connects once. The connection's background task ends with the client.
    pub(crate) async fn connect(&self) -> Result<Client, ConnectError> {
        match timeout(CONNECT_LIMIT, self.config.connect(self.tls.clone())).await {
            Ok(Ok((client, connection))) => {
                // An error of the connection also fails the client's next query, which reports it.
                tokio::spawn(async move { drop(connection.await) });
                Ok(client)
            }
            Ok(Err(error)) => Err(ConnectError::Failed(error)),
            Err(_) => Err(ConnectError::TimedOut),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The driver's own `Debug` hides the password too, but a new version may not.
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// Error of one connection attempt.
pub(crate) enum ConnectError {
    Failed(tokio_postgres::Error),
    TimedOut,
}

impl ConnectError {
    /// Returns whether the server has refused this login, so that another attempt is useless.
    pub(crate) fn is_permanent(&self) -> bool {
        let Self::Failed(error) = self else {
            return false;
        };
        // SQLSTATE class 57 includes "the database system is starting up" and "is shutting down".
        error
            .code()
            .is_some_and(|code| !code.code().starts_with("57"))
    }

    /// Returns an error with this one as its cause.
    pub(crate) fn into_error(self, message: impl Into<String>) -> Error {
        let error = Error::new(ErrorKind::Process, message);
        match self {
            Self::Failed(cause) => error.with_source(cause),
            Self::TimedOut => error.with_source(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }
}

/// Limit for TCP, TLS, SCRAM and the start of the session together.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
