//! TLS by the platform's library, through `native-tls`.

use std::io;

use native_tls::Protocol;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_native_tls::TlsStream;

use super::{
    Anchors, Authority, HandshakeError, OUTDATED, POSTGRESQL, Peer, is_disconnect, setup_failed,
    without_final_dot,
};
use crate::error::Error;
use crate::tls::certificate::Certificate;

/// Performs the handshake. With `anchors` it fails unless the certificate leads to one of them.
pub(super) async fn handshake(
    mut tcp: TcpStream,
    peer: Peer<'_>,
    anchors: Option<Anchors<'_>>,
) -> Result<(TlsStream<TcpStream>, Certificate), HandshakeError> {
    let connector = peer
        .request_encryption_and(&mut tcp, || connector(peer, anchors))
        .await?;
    // This is the name for SNI as well, which an address is not.
    let name = without_final_dot(peer.host);
    let stream = connector.connect(name, tcp).await.map_err(|error| {
        // The words of OpenSSL for this alert.
        if !peer.direct_tls && error.to_string().contains("alert protocol version") {
            return peer.distrusted_handshake(OUTDATED, error).into();
        }
        let io = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
        peer.handshake_error(
            io.is_some_and(|error: &io::Error| is_disconnect(error.kind())),
            error,
        )
    })?;
    let chosen = stream.get_ref().negotiated_alpn().ok().flatten();
    peer.check_protocol(chosen.as_deref())?;
    let shown = stream.get_ref().peer_certificate();
    let der = shown.ok().flatten().and_then(|shown| shown.to_der().ok());
    let own = der.ok_or_else(|| peer.distrusted("the server shows no certificate"))?;
    Ok((
        stream,
        Certificate::new(CertificateDer::from(own), Vec::new()),
    ))
}

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
                for root in anchors.authority.roots()?.iter() {
                    let root = native_tls::Certificate::from_der(root).map_err(setup_failed)?;
                    builder.add_root_certificate(root);
                }
            }
        }
    }
    Ok(builder.build().map_err(setup_failed)?.into())
}
