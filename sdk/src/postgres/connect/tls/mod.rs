//! The TLS handshake with a server, and the verification of its certificate.
//!
//! By rustls, which judges the certificate during the handshake, or leaves it to [`verify`] after
//! it, when it is known whether that matters; or, where a setting says so, by the platform's library
//! through `native-tls`, which verifies during the handshake or not at all.

#[cfg(feature = "native-tls")]
mod native;
mod roots;
mod rustls;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ::rustls::pki_types::UnixTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::TlsLibrary;
use crate::error::{Error, ErrorKind};
use crate::meaning::Meaning;
use crate::postgres::sqlstate::refused_before_tls;
use crate::tls::judge::{self, Shown};

pub(in crate::postgres) use self::roots::{Anchors, Authority};
pub(in crate::postgres) use self::stream::Stream;
pub(in crate::postgres) use crate::tls::certificate::{Certificate, PublicKey};

/// The server, and how to negotiate TLS with it.
#[derive(Clone, Copy)]
pub(in crate::postgres) struct Peer<'a> {
    pub(in crate::postgres) host: &'a str,
    /// `host:port`, for messages.
    pub(in crate::postgres) name: &'a str,
    /// True to begin with the handshake, without an SSLRequest: Postgres 17 and newer allow that.
    pub(in crate::postgres) direct_tls: bool,
    pub(in crate::postgres) library: TlsLibrary,
}

/// Performs the handshake. With `anchors` it fails unless the certificate leads to one of them.
pub(in crate::postgres) async fn handshake(
    tcp: TcpStream,
    peer: Peer<'_>,
    anchors: Option<Anchors<'_>>,
) -> Result<(Stream, Certificate), HandshakeError> {
    match peer.library {
        TlsLibrary::Rustls => {
            let (stream, certificate) = rustls::handshake(tcp, peer, anchors).await?;
            Ok((Stream::Rustls(Box::new(stream)), certificate))
        }
        #[cfg(feature = "native-tls")]
        TlsLibrary::Native => {
            let (stream, certificate) = native::handshake(tcp, peer, anchors).await?;
            Ok((Stream::Native(Box::new(stream)), certificate))
        }
    }
}

/// Sets up what needs no connection.
pub(in crate::postgres) fn prepare(library: TlsLibrary) {
    match library {
        TlsLibrary::Rustls => rustls::prepare(),
        // A connector cannot be built before the server is known.
        #[cfg(feature = "native-tls")]
        TlsLibrary::Native => {}
    }
}

/// Verifies that a certificate leads to one of the anchors, after the handshake. `None` where the
/// library has to verify it during one.
pub(in crate::postgres) fn verify(
    certificate: &Certificate,
    server: &str,
    anchors: Anchors<'_>,
    library: TlsLibrary,
) -> Option<Result<(), Error>> {
    match library {
        TlsLibrary::Rustls => Some(judge(certificate, server, anchors)),
        #[cfg(feature = "native-tls")]
        TlsLibrary::Native => None,
    }
}

fn judge(certificate: &Certificate, server: &str, anchors: Anchors<'_>) -> Result<(), Error> {
    let shown = Shown {
        own: &certificate.own,
        chain: &certificate.chain,
    };
    let roots = anchors.authority.roots()?;
    judge::verify(shown, &roots, anchors.host, UnixTime::now()).map_err(|reason| {
        Error::with_source(
            ErrorKind::ServerNotAuthenticated,
            format!("the certificate of {server} does not verify"),
            reason,
        )
    })
}

/// The reason why there is no encrypted connection.
pub(in crate::postgres) enum HandshakeError {
    /// The server does not take a handshake without an SSLRequest.
    NoDirectTls,
    Failed(Error),
}

impl From<Error> for HandshakeError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Peer<'_> {
    /// Sends an SSLRequest unless TLS is direct, and builds what the handshake needs while the
    /// reply is under way: that takes milliseconds of CPU, and the reply a round trip.
    async fn request_encryption_and<T>(
        &self,
        tcp: &mut TcpStream,
        make: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.direct_tls {
            return make();
        }
        let broken = |error| {
            Error::with_source(
                ErrorKind::DatabaseUnreachable,
                format!(
                    "{} closed the connection after the request for encryption (SSLRequest)",
                    self.name
                ),
                error,
            )
        };
        tcp.write_all(&SSL_REQUEST).await.map_err(broken)?;
        let made = make()?;
        let reply = tcp.read_u8().await.map_err(broken)?;
        if reply == b'E' {
            return Err(refused_before_tls(&rest_of_error(tcp).await, self.name));
        }
        check_ssl_reply(reply, self.name)?;
        Ok(made)
    }

    /// Interprets a failed handshake. A server without direct TLS takes the handshake for a broken
    /// StartupMessage and closes the connection.
    fn handshake_error(
        &self,
        disconnected: bool,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> HandshakeError {
        if self.direct_tls {
            return HandshakeError::NoDirectTls;
        }
        let failed = Error::with_source(
            ErrorKind::ServerNotAuthenticated,
            format!("the TLS handshake with {} failed", self.name),
            source,
        );
        HandshakeError::Failed(if disconnected {
            // The server agreed to TLS a moment ago, so it is probably shutting down.
            Error::with_source(
                ErrorKind::DatabaseUnreachable,
                format!(
                    "{} broke the connection during the TLS handshake",
                    self.name
                ),
                failed,
            )
            .with_meaning(Meaning::Suspect)
        } else {
            failed
        })
    }

    /// The error for a certificate that leads to no trusted root or has another name.
    fn distrusted(&self, reason: &str) -> Error {
        Error::with_source(
            ErrorKind::ServerNotAuthenticated,
            format!(
                "the TLS handshake with {} failed: its certificate does not verify",
                self.name
            ),
            reason,
        )
    }

    /// The error for a handshake that the server ended, with an explanation.
    fn distrusted_handshake(
        &self,
        reason: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::with_source(
            ErrorKind::ServerNotAuthenticated,
            format!("the TLS handshake with {} failed: {reason}", self.name),
            source,
        )
    }

    /// Checks that the server chose the protocol of Postgres, which direct TLS requires.
    fn check_protocol(&self, chosen: Option<&[u8]>) -> Result<(), HandshakeError> {
        if self.direct_tls && chosen != Some(POSTGRESQL) {
            return Err(HandshakeError::NoDirectTls);
        }
        Ok(())
    }

    /// Returns the name for SNI, without a final dot. An address is none (RFC 6066, section 3).
    fn name_indication(&self) -> Option<&str> {
        let name = without_final_dot(self.host);
        let is_address = name.parse::<IpAddr>().is_ok() || name.contains(':');
        (!is_address).then_some(name)
    }
}

/// The explanation where the server ended the handshake because of the version.
const OUTDATED: &str = "the server supports neither TLS 1.2 nor 1.3: raise its ssl_max_protocol_version, or take a \
     newer server";

/// Removes the dot that ends a fully qualified name: certificates and SNI have none.
fn without_final_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// Reads what follows the first byte of an error before encryption, up to a limit of bytes and
/// time. Postgres that cannot start a process sends a text as in protocol 2, poolers send an
/// ErrorResponse.
async fn rest_of_error(tcp: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut rest = tcp.take(LONGEST_ERROR);
    // What has arrived by then counts.
    timeout(ERROR_TIMEOUT, rest.read_to_end(&mut bytes))
        .await
        .ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Checks the reply to SSLRequest. Only `S` continues.
fn check_ssl_reply(reply: u8, server: &str) -> Result<(), Error> {
    match reply {
        b'S' => Ok(()),
        b'N' => Err(Error::new(
            ErrorKind::ServerNotAuthenticated,
            format!(
                "{server} offers no encryption (TLS), which is required: turn on ssl in the server"
            ),
        )),
        _ => Err(Error::new(
            ErrorKind::DatabaseUnreachable,
            format!("{server} does not reply like a Postgres server"),
        )
        .with_meaning(Meaning::Final)),
    }
}

/// Returns whether a server ended the session's TLS because the client has no certificate. With TLS
/// 1.3 that arrives after the handshake.
pub(in crate::postgres) fn wants_client_certificate(error: &io::Error) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    text.contains("alert certificate required") || text.contains("certificaterequired")
}

fn setup_failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::with_source(
        ErrorKind::ServerNotAuthenticated,
        "could not set up TLS for the database",
        source,
    )
}

fn is_disconnect(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

const LONGEST_ERROR: u64 = 1024;

/// The server has sent the error whole, or it is none.
const ERROR_TIMEOUT: Duration = Duration::from_secs(1);

/// Length 8, then the code 80877103 (postgresql.org/docs/18/protocol-message-formats.html).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The ALPN name, by which a server recognises direct TLS (postgresql.org/docs/18/protocol-flow.html, SSL Session Encryption).
const POSTGRESQL: &[u8] = b"postgresql";
