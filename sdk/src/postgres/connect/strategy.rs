//! The strategies of an attempt to connect, and the reasons that take one option away.

use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind};
use crate::meaning::Meaning;
use crate::postgres::connect::startup::{SaslMechanisms, StartupError};
use crate::postgres::connect::tls::{self, Anchors, HandshakeError};
use crate::postgres::sqlstate::{refused, unauthenticated, without_certificate};

/// The options of one try. A fallback takes one of them away.
pub(super) struct Strategy<'a> {
    pub(super) direct_tls: bool,
    pub(super) early_scram: bool,
    /// True if a query goes out with the last message of the authentication.
    pub(super) early_query: bool,
    /// The trust anchors that the certificate has to lead to during the handshake.
    pub(super) anchors: Option<Anchors<'a>>,
    /// The reason why an earlier try asks for these anchors, for the error of this one.
    pub(super) refusal: Option<String>,
}

impl Strategy<'_> {
    /// Adds the reason why the certificate had to be verified to the error of a handshake.
    pub(super) fn explain(&self, error: HandshakeError) -> HandshakeError {
        match (error, &self.refusal) {
            (HandshakeError::Failed(error), Some(refusal))
                if error.kind() == ErrorKind::ServerNotAuthenticated =>
            {
                Error::with_source(error.kind(), refusal.as_str(), error).into()
            }
            (error, _) => error,
        }
    }
}

/// The reason why a try failed, and with it what the next one leaves out.
pub(super) enum Fallback {
    /// The server does not take a TLS handshake without an SSLRequest.
    NoDirectTls,
    /// The server did not accept an early SCRAM message. Holds the mechanisms that it offers, if
    /// it named them; otherwise an early statement may be the reason too.
    NoEarlyScram(Option<SaslMechanisms>),
    /// The server's certificate has to be verified. Holds what is to be said where it does not.
    VerifyCertificate(String),
    /// The attempt failed.
    Fail(Error),
}

impl Fallback {
    /// Returns what an error of the session's start leaves to the next try.
    pub(super) fn of(error: StartupError, server: &str, url: &DatabaseUrl) -> Self {
        match error {
            StartupError::EarlyScramRejected(mechanisms) => Self::NoEarlyScram(mechanisms),
            StartupError::CertificateNeeded(refusal) => Self::VerifyCertificate(refusal),
            StartupError::ServerNotAuthenticated(error) => Self::Fail(error),
            StartupError::ErrorResponse(response) => Self::Fail(refused(response, server, url)),
            StartupError::ScramFailed(error) => Self::Fail(unauthenticated(error, server)),
            StartupError::Io(error) if tls::wants_client_certificate(&error) => {
                Self::Fail(without_certificate(error, server, url))
            }
            StartupError::Io(error) => Self::Fail(startup_failed(
                format!("the connection to {server} broke while the session started"),
                error,
            )),
            StartupError::Protocol(error) => Self::Fail(startup_failed(
                format!("{server} does not follow the Postgres protocol"),
                error,
            )),
        }
    }
}

fn startup_failed(message: String, source: std::io::Error) -> Error {
    Error::with_source(ErrorKind::DatabaseUnreachable, message, source)
        .with_meaning(Meaning::Suspect)
}

impl From<HandshakeError> for Fallback {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::NoDirectTls => Self::NoDirectTls,
            HandshakeError::Failed(error) => Self::Fail(error),
        }
    }
}

impl From<Error> for Fallback {
    fn from(error: Error) -> Self {
        Self::Fail(error)
    }
}
