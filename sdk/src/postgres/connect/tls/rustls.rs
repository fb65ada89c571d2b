//! TLS by rustls with ring.
//!
//! Where the URL does not require a certificate, the handshake accepts any: the SDK judges it
//! afterwards, when it is known whether that matters, and reads no roots before. The handshake's
//! signature, which shows that the server has the certificate's key, is verified in any case.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError,
    SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Anchors, HandshakeError, OUTDATED, POSTGRESQL, Peer, is_disconnect, setup_failed};
use crate::error::Error;
use crate::tls::certificate::Certificate;
use crate::tls::judge::{self, Distrust, Shown};
use crate::tls::x509::X509;
use crate::tls::{algorithms, handshake_signature};

/// Performs the handshake. With `anchors` it fails unless the certificate leads to one of them.
pub(super) async fn handshake(
    mut tcp: TcpStream,
    peer: Peer<'_>,
    anchors: Option<Anchors<'_>>,
) -> Result<(TlsStream<TcpStream>, Certificate), HandshakeError> {
    let make = || config(peer, anchors);
    let config = peer.request_encryption_and(&mut tcp, make).await?;
    let connect = TlsConnector::from(config).connect(server_name(peer), tcp);
    let stream = connect.await.map_err(|error| failed(peer, error))?;
    let connection = stream.get_ref().1;
    peer.check_protocol(connection.alpn_protocol())?;
    let certificate = match connection.peer_certificates() {
        Some([own, chain @ ..]) => Certificate::new(own.clone(), chain.to_vec()),
        _ => return Err(peer.distrusted("the server shows no certificate").into()),
    };
    Ok((stream, certificate))
}

/// Creates the configuration, which happens once per process and needs no connection.
pub(super) fn prepare() {
    // An error shows when the handshake needs the configuration.
    let _ = any_server();
}

/// Returns the name for SNI. Of an address, rustls sends none; so of a name that is none of DNS.
fn server_name(peer: Peer<'_>) -> ServerName<'static> {
    peer.name_indication()
        .and_then(|name| ServerName::try_from(name.to_owned()).ok())
        .unwrap_or_else(|| IpAddr::from(Ipv4Addr::UNSPECIFIED).into())
}

fn config(peer: Peer<'_>, anchors: Option<Anchors<'_>>) -> Result<Arc<ClientConfig>, Error> {
    let any_server = any_server()?;
    if anchors.is_none() && !peer.direct_tls {
        return Ok(Arc::clone(any_server));
    }
    let mut config = ClientConfig::clone(any_server);
    if peer.direct_tls {
        config.alpn_protocols = vec![POSTGRESQL.to_vec()];
    }
    if let Some(anchors) = anchors {
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(Verifier(Some(Demand {
                roots: anchors.authority.roots()?.into_owned(),
                host: anchors.host.map(str::to_owned),
            }))));
    }
    Ok(Arc::new(config))
}

/// Returns the configuration that accepts any certificate.
fn any_server() -> Result<&'static Arc<ClientConfig>, Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config);
    }
    let builder = ClientConfig::builder_with_provider(algorithms::crypto_provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(setup_failed)?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier(None)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(CONFIG.get_or_init(|| Arc::new(config)))
}

/// Interprets a failed handshake.
fn failed(peer: Peer<'_>, error: io::Error) -> HandshakeError {
    let reason = error.get_ref().and_then(|error| error.downcast_ref());
    if let Some(distrust) = reason.and_then(distrust) {
        return peer.distrusted(&distrust.to_string()).into();
    }
    if !peer.direct_tls
        && let Some(rustls::Error::AlertReceived(alert)) = reason
    {
        match alert {
            AlertDescription::HandshakeFailure => {
                return peer.distrusted_handshake(NOTHING_IN_COMMON, error).into();
            }
            AlertDescription::ProtocolVersion => {
                return peer.distrusted_handshake(OUTDATED, error).into();
            }
            _ => {}
        }
    }
    peer.handshake_error(is_disconnect(error.kind()), error)
}

/// Returns the reason of this module's verifier.
fn distrust(error: &rustls::Error) -> Option<&Distrust> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => {
            reason.downcast_ref()
        }
        _ => None,
    }
}

/// The verifier of a handshake. Without a demand it accepts any certificate.
#[derive(Debug)]
struct Verifier(Option<Demand>);

/// The roots that a certificate has to lead to, and the name that it has to be for.
#[derive(Debug)]
struct Demand {
    roots: Vec<CertificateDer<'static>>,
    host: Option<String>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.0 {
            None => judge::check_key(&X509::read(own).ok_or(Distrust::Malformed)?)?,
            Some(Demand { roots, host }) => {
                judge::verify(Shown { own, chain }, roots, host.as_deref(), now)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        handshake_signature::verify_tls12(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        handshake_signature::verify_tls13(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms::offered_schemes()
    }
}

const NOTHING_IN_COMMON: &str = "the server and this client have no cipher, curve or key of TLS in common \
     (handshake failure); rustls supports TLS 1.2 with ECDHE and TLS 1.3, the curves P-256, P-384 and \
     X25519, and keys of RSA, P-256, P-384 and Ed25519: look at the server's ssl_ecdh_curve (ssl_groups \
     since Postgres 18), ssl_ciphers and key, or use the platform's TLS library \
     (STAGELINK_TLS_LIBRARY=native-tls). With TLS 1.2 a server that demands a client certificate, which \
     stagelink has none of, ends the handshake in the same way";
