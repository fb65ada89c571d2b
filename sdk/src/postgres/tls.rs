//! How a server must prove itself, and the TLS handshake that lets it.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use native_tls::{Certificate, Protocol};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::ChannelBinding;
use tokio_postgres::tls;

use crate::error::{Error, ErrorKind};

/// How a server must prove that it is the right one. Encryption without proof
/// is not among the choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsPolicy {
    /// SCRAM channel binding; where the server does not offer it, a certificate
    /// that verifies against the system's roots, host name included.
    Auto,
    /// SCRAM channel binding: the server at the end of this very connection
    /// proves that it knows the password's verifier.
    ChannelBinding,
    /// A certificate that verifies.
    Verify {
        roots: Roots,
        hostname: bool,
        binding: ChannelBinding,
    },
}

/// Whom to trust for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    System,
    File(PathBuf),
}

impl TlsPolicy {
    pub(crate) fn verify_full(roots: Roots) -> Self {
        Self::Verify {
            roots,
            hostname: true,
            binding: ChannelBinding::Prefer,
        }
    }

    pub(crate) fn verify_ca(roots: Roots) -> Self {
        Self::Verify {
            roots,
            hostname: false,
            binding: ChannelBinding::Prefer,
        }
    }

    /// What the driver must insist on beside the handshake.
    pub(crate) fn channel_binding(&self) -> ChannelBinding {
        match self {
            Self::Auto | Self::ChannelBinding => ChannelBinding::Require,
            Self::Verify { binding, .. } => *binding,
        }
    }
}

/// Makes TLS connections by one policy. To make one is expensive (the library
/// reads the system's roots, wanted or not), to use it is not.
#[derive(Clone)]
pub(super) struct Connector(tokio_native_tls::TlsConnector);

impl Connector {
    /// The connector for a policy: one for the whole process, whichever
    /// credentials need it, unless the URL names roots of its own.
    pub(super) fn of(policy: &TlsPolicy) -> Result<Self, Error> {
        static BOUND: OnceLock<Connector> = OnceLock::new();
        static VERIFIED: OnceLock<Connector> = OnceLock::new();
        static VERIFIED_WITHOUT_NAME: OnceLock<Connector> = OnceLock::new();
        let shared = match policy {
            TlsPolicy::Auto | TlsPolicy::ChannelBinding => &BOUND,
            TlsPolicy::Verify {
                roots: Roots::File(_),
                ..
            } => return Self::new(policy),
            TlsPolicy::Verify { hostname: true, .. } => &VERIFIED,
            TlsPolicy::Verify {
                hostname: false, ..
            } => &VERIFIED_WITHOUT_NAME,
        };
        if let Some(connector) = shared.get() {
            return Ok(connector.clone());
        }
        let made = Self::new(policy)?;
        Ok(shared.get_or_init(|| made).clone())
    }

    fn new(policy: &TlsPolicy) -> Result<Self, Error> {
        let mut builder = native_tls::TlsConnector::builder();
        // Heroku takes nothing older (devcenter.heroku.com, Connecting to
        // Heroku Postgres, 2026-04-21); the library would take 1.0.
        builder.min_protocol_version(Some(Protocol::Tlsv12));
        match policy {
            // Nothing is taken on trust here: the driver insists on channel
            // binding, which a server in the middle cannot fulfil.
            TlsPolicy::Auto | TlsPolicy::ChannelBinding => {
                builder.danger_accept_invalid_certs(true);
                builder.danger_accept_invalid_hostnames(true);
                builder.disable_built_in_roots(true);
            }
            TlsPolicy::Verify {
                roots, hostname, ..
            } => {
                builder.danger_accept_invalid_hostnames(!hostname);
                if let Roots::File(path) = roots {
                    builder.disable_built_in_roots(true);
                    for root in read_roots(path)? {
                        builder.add_root_certificate(root);
                    }
                }
            }
        }
        let connector = builder.build().map_err(|error| {
            Error::because(
                ErrorKind::Insecure,
                "could not set up TLS for the database",
                error,
            )
        })?;
        Ok(Self(connector.into()))
    }

    /// Asks the server for encryption and shakes hands. `server` is `host:port`, for messages.
    pub(super) async fn handshake(
        &self,
        mut tcp: TcpStream,
        host: &str,
        server: &str,
    ) -> Result<Stream, Error> {
        ask_for_encryption(&mut tcp, server).await?;
        let stream = self.0.connect(host, tcp).await.map_err(|error| {
            Error::because(
                ErrorKind::Insecure,
                format!("the TLS handshake with {server} failed"),
                error,
            )
        })?;
        Ok(Stream(stream))
    }
}

/// An encrypted connection to a server, for the driver.
pub(super) struct Stream(tokio_native_tls::TlsStream<TcpStream>);

/// Hands the driver a connection on which the handshake is over already.
pub(super) struct Encrypted;

impl<S: tls::TlsStream + Unpin> tls::TlsConnect<S> for Encrypted {
    type Stream = S;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<S>>;

    fn connect(self, stream: S) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

impl tls::TlsStream for Stream {
    fn channel_binding(&self) -> tls::ChannelBinding {
        match self.0.get_ref().tls_server_end_point() {
            Ok(Some(binding)) => tls::ChannelBinding::tls_server_end_point(binding),
            // No hash is defined for some certificates, such as Ed25519's.
            // Where binding is required the driver refuses then.
            Ok(None) | Err(_) => tls::ChannelBinding::none(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Sends Postgres's SSLRequest. Only `S` leads on: what a server says before
/// encryption is not authenticated, so an error of its own is not believed either.
async fn ask_for_encryption(tcp: &mut TcpStream, server: &str) -> Result<(), Error> {
    let broken = |error| {
        Error::because(
            ErrorKind::DatabaseUnreachable,
            format!("{server} broke the connection when asked for encryption"),
            error,
        )
    };
    tcp.write_all(&SSL_REQUEST).await.map_err(broken)?;
    match tcp.read_u8().await.map_err(broken)? {
        b'S' => Ok(()),
        b'N' => Err(Error::new(
            ErrorKind::Insecure,
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

fn read_roots(path: &Path) -> Result<Vec<Certificate>, Error> {
    let refuse = |what: &str, source: Box<dyn std::error::Error + Send + Sync>| {
        Error::because(
            ErrorKind::DatabaseUrl,
            format!(
                "{what} the root certificates in {} (sslrootcert)",
                path.display()
            ),
            source,
        )
    };
    let pem = std::fs::read(path).map_err(|error| refuse("could not read", error.into()))?;
    let roots = Certificate::stack_from_pem(&pem)
        .map_err(|error| refuse("could not understand", error.into()))?;
    if roots.is_empty() {
        return Err(refuse(
            "found no certificate among",
            "the file holds no PEM block".into(),
        ));
    }
    Ok(roots)
}

/// Length 8, then the code 80877103 (postgresql.org/docs/18/protocol-message-formats.html).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
