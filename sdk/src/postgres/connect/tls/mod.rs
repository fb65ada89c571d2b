//! The TLS handshake with a server, and what its certificate is worth.
//!
//! On Linux this is OpenSSL by itself: where the URL does not ask for a certificate,
//! it can be judged after the handshake, when it is known whether that matters, and no
//! roots are read before. Elsewhere it is the platform's own TLS by `native-tls`, which
//! judges during the handshake or not at all.

#[cfg(any(not(target_os = "linux"), test))]
mod native;
#[cfg(target_os = "linux")]
mod openssl;
mod roots;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{Error, ErrorKind};
use crate::postgres::sqlstate::Staleness;

#[cfg(not(target_os = "linux"))]
pub(in crate::postgres) use self::native::{Certificate, PublicKey, Stream, handshake, make_ready};
#[cfg(target_os = "linux")]
pub(in crate::postgres) use self::openssl::{
    Certificate, PublicKey, Stream, handshake, make_ready,
};
pub(in crate::postgres) use self::roots::{Anchors, Authority};

/// Who is on the other side, and how it is met.
#[derive(Clone, Copy)]
pub(in crate::postgres) struct Peer<'a> {
    pub(in crate::postgres) host: &'a str,
    /// `host:port`, for messages.
    pub(in crate::postgres) name: &'a str,
    /// Begin with the handshake, as Postgres 17 and newer let clients do.
    pub(in crate::postgres) direct: bool,
}

/// Why there is no encrypted connection.
pub(in crate::postgres) enum Refusal {
    /// The server does not take a handshake that it has not agreed to.
    NotDirect,
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Peer<'_> {
    /// Asks for encryption, where that has to be, and makes what a handshake needs
    /// while the server thinks about it: that takes milliseconds where there is
    /// little CPU, and the answer a round trip.
    async fn ask_and<T>(
        &self,
        tcp: &mut TcpStream,
        make: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.direct {
            return make();
        }
        let broken = |error| {
            Error::with_source(
                ErrorKind::DatabaseUnreachable,
                format!(
                    "{} broke the connection when asked for encryption",
                    self.name
                ),
                error,
            )
        };
        tcp.write_all(&SSL_REQUEST).await.map_err(broken)?;
        let made = make()?;
        agreed(tcp.read_u8().await.map_err(broken)?, self.name)?;
        Ok(made)
    }

    /// What a failed handshake means. A server that knows nothing of direct
    /// handshakes takes one for a broken start-up message, and hangs up.
    fn refusal(
        &self,
        hung_up: bool,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Refusal {
        if self.direct {
            return Refusal::NotDirect;
        }
        let failed = Error::with_source(
            ErrorKind::ServerNotAuthenticated,
            format!("the TLS handshake with {} failed", self.name),
            source,
        );
        Refusal::Error(if hung_up {
            // It spoke TLS a moment ago: a server that goes away, as it seems.
            Error::with_source(
                ErrorKind::DatabaseUnreachable,
                format!(
                    "{} broke the connection during the TLS handshake",
                    self.name
                ),
                failed,
            )
            .with_staleness(Staleness::Suspect)
        } else {
            failed
        })
    }

    /// The certificate does not lead to whom it should, or is for another name.
    #[cfg(target_os = "linux")]
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

    /// A direct handshake is for Postgres alone if both say so.
    fn check_protocol(&self, chosen: Option<&[u8]>) -> Result<(), Refusal> {
        if self.direct && chosen != Some(POSTGRESQL) {
            return Err(Refusal::NotDirect);
        }
        Ok(())
    }

    /// The name to ask for in the handshake: addresses are none (RFC 6066).
    fn name_indication(&self) -> Option<&str> {
        self.host.parse::<IpAddr>().is_err().then_some(self.host)
    }
}

/// The answer to Postgres's SSLRequest. Only `S` leads on: what a server says before
/// encryption is not authenticated, so an error of its own is not believed either.
fn agreed(answer: u8, server: &str) -> Result<(), Error> {
    match answer {
        b'S' => Ok(()),
        b'N' => Err(Error::new(
            ErrorKind::ServerNotAuthenticated,
            format!(
                "{server} offers no encryption (TLS), and nothing is sent without it: turn on ssl in the server"
            ),
        )),
        _ => Err(Error::new(
            ErrorKind::DatabaseUnreachable,
            format!("{server} does not answer like a Postgres server"),
        )),
    }
}

fn set_up_failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::with_source(
        ErrorKind::ServerNotAuthenticated,
        "could not set up TLS for the database",
        source,
    )
}

fn has_hung_up(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// Length 8, then the code 80877103 (postgresql.org/docs/18/protocol-message-formats.html).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The name of the protocol, by which a server knows that a handshake is meant for
/// it (postgresql.org/docs/18/protocol-flow.html, SSL Session Encryption).
const POSTGRESQL: &[u8] = b"postgresql";
