//! TLS by the platform's library, through `native-tls`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use native_tls::Protocol;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{
    Anchors, Authority, HandshakeError, POSTGRESQL, Peer, is_disconnect, setup_failed,
    without_final_dot,
};
use crate::config::ServerPin;
use crate::error::Error;

/// An encrypted connection. Without anchors the server is not authenticated yet.
pub(in crate::postgres) struct Stream(tokio_native_tls::TlsStream<TcpStream>);

/// The facts that are kept of a server's certificate.
pub(in crate::postgres) struct Certificate {
    end_point: Option<Vec<u8>>,
    key: Option<PublicKey>,
}

/// A server's public key.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::postgres) struct PublicKey(ServerPin);

/// Performs the handshake. With `anchors` it fails unless the certificate leads to one of them.
pub(in crate::postgres) async fn handshake(
    mut tcp: TcpStream,
    peer: Peer<'_>,
    anchors: Option<Anchors<'_>>,
) -> Result<(Stream, Certificate), HandshakeError> {
    let connector = peer
        .request_encryption_and(&mut tcp, || connector(peer, anchors))
        .await?;
    // This is the name for SNI as well, which an address is not.
    let name = without_final_dot(peer.host);
    let stream = connector.connect(name, tcp).await.map_err(|error| {
        let io = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
        peer.handshake_error(
            io.is_some_and(|error: &io::Error| is_disconnect(error.kind())),
            error,
        )
    })?;
    let chosen = stream.get_ref().negotiated_alpn().ok().flatten();
    peer.check_protocol(chosen.as_deref())?;
    let certificate = Certificate::of(stream.get_ref());
    Ok((Stream(stream), certificate))
}

/// Does nothing: a connector cannot be built before the server is known.
#[cfg(not(target_os = "linux"))]
pub(in crate::postgres) fn prepare() {}

fn connector(
    peer: Peer<'_>,
    anchors: Option<Anchors<'_>>,
) -> Result<tokio_native_tls::TlsConnector, Error> {
    let mut builder = native_tls::TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    if peer.direct_tls {
        let name = std::str::from_utf8(POSTGRESQL).expect("it is ASCII");
        builder.request_alpns(&[name]);
    }
    match anchors {
        // The start of the session requires another proof of the server.
        None => {
            builder.danger_accept_invalid_certs(true);
            builder.danger_accept_invalid_hostnames(true);
            builder.disable_built_in_roots(true);
        }
        Some(anchors) => {
            builder.danger_accept_invalid_hostnames(anchors.host.is_none());
            if anchors.authority != Authority::System {
                builder.disable_built_in_roots(true);
                for root in anchors
                    .authority
                    .certificates(native_tls::Certificate::stack_from_pem)?
                {
                    builder.add_root_certificate(root);
                }
            }
        }
    }
    Ok(builder.build().map_err(setup_failed)?.into())
}

impl PublicKey {
    /// Returns the pin of the key.
    pub(in crate::postgres) fn pin(&self) -> Option<ServerPin> {
        Some(self.0)
    }
}

impl Certificate {
    fn of<S: io::Read + io::Write>(stream: &native_tls::TlsStream<S>) -> Self {
        let key = || {
            let der = stream.peer_certificate().ok()??.to_der().ok()?;
            let (_, certificate) = X509Certificate::from_der(&der).ok()?;
            Some(PublicKey(ServerPin::of_key(certificate.public_key().raw)))
        };
        Self {
            end_point: stream.tls_server_end_point().ok().flatten(),
            key: key(),
        }
    }

    /// Returns the hash of the certificate that SCRAM binds to (`tls-server-end-point`).
    pub(in crate::postgres) fn end_point(&self) -> Option<Vec<u8>> {
        self.end_point.clone()
    }

    /// Returns the server's public key.
    pub(in crate::postgres) fn key(&self) -> Option<PublicKey> {
        self.key.clone()
    }

    /// Returns `None`: this library verifies during the handshake or not at all.
    #[cfg_attr(
        target_os = "linux",
        expect(dead_code, reason = "OpenSSL verifies there")
    )]
    pub(in crate::postgres) fn verify(
        &self,
        _server: &str,
        _anchors: Anchors<'_>,
    ) -> Option<Result<(), Error>> {
        None
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
