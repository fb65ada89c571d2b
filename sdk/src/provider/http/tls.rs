//! TLS to a provider: HTTPS with the roots of public authorities, and those of the settings.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;

use hyper_rustls::HttpsConnector;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use super::tcp_connector::TcpConnector;
use crate::config::HttpsSettings;
use crate::error::{Error, ErrorKind};
use crate::tls::judge::{self, Distrust, Shown};
use crate::tls::{algorithms, handshake_signature, roots};

/// Creates the connector of rustls.
///
/// The roots are built in: reading the system's takes longer than the rest of a function's start.
/// Where the environment names the system's, as a company's machines do, those count instead.
pub(super) fn rustls(settings: &HttpsSettings) -> Result<HttpsConnector<TcpConnector>, Error> {
    let mut roots = given(settings)?;
    let public = match roots::are_named() {
        true => {
            let system = roots::system();
            let system = system.map_err(|error| Error::new(ErrorKind::Settings, error))?;
            roots.extend(system.iter().cloned());
            None
        }
        false => Some(public_authorities()?),
    };
    let mut https = verifying(Verifier { roots, public })?;
    https.enforce_https();
    Ok(https)
}

fn public_authorities() -> Result<Arc<WebPkiServerVerifier>, Error> {
    let roots = Arc::new(RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    });
    let provider = algorithms::crypto_provider();
    WebPkiServerVerifier::builder_with_provider(roots, provider)
        .build()
        .map_err(unusable)
}

fn verifying(verifier: Verifier) -> Result<HttpsConnector<TcpConnector>, Error> {
    let builder = ClientConfig::builder_with_provider(algorithms::crypto_provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(HttpsConnector::from((TcpConnector, config)))
}

/// The verifier of a provider's certificate. By the roots that were given the judge decides, as it
/// does for a database: webpki does not look at what a root may issue, nor at its dates.
#[derive(Debug)]
struct Verifier {
    roots: Vec<CertificateDer<'static>>,
    /// The built-in roots, whose dates and rights are known.
    public: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Shown { own, chain };
        let Err(reason) = judge::verify(shown, &self.roots, Some(&name.to_str()), now) else {
            return Ok(ServerCertVerified::assertion());
        };
        let public = self.public.as_ref();
        match public.map(|public| public.verify_server_cert(own, chain, name, ocsp_response, now)) {
            Some(Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)))
            | None => Err(refused(reason)),
            Some(verified) => verified,
        }
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
        algorithms::signatures().supported_schemes()
    }
}

fn refused(reason: Distrust) -> rustls::Error {
    let reason = OtherError(Arc::new(Untrusted(reason)));
    rustls::Error::InvalidCertificate(CertificateError::Other(reason))
}

/// Returns why the verifier has refused a certificate, if it has: rustls tells that in a form that is
/// for programmers.
pub(super) fn untrusted(error: &(dyn std::error::Error + 'static)) -> Option<Untrusted> {
    if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(reason)))) =
        error.downcast_ref()
    {
        return reason.downcast_ref().cloned();
    }
    // The source of an I/O error is that of the error inside.
    match error.downcast_ref().and_then(io::Error::get_ref) {
        Some(inside) => untrusted(inside),
        None => untrusted(error.source()?),
    }
}

/// The reason why a provider's certificate is not trusted.
#[derive(Clone, Debug)]
pub(super) struct Untrusted(Distrust);

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's certificate is not trusted: {}", self.0)?;
        match self.0 {
            Distrust::UnknownIssuer | Distrust::SelfSigned => f.write_str(
                "; if a company's own authority has issued it, add that root to \
                 STAGELINK_PROVIDER_ROOT_CERTIFICATES",
            ),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Untrusted {}

/// Creates the connector of the platform's library, which knows the platform's roots.
#[cfg(feature = "native-tls")]
pub(super) fn native(
    settings: &HttpsSettings,
) -> Result<hyper_tls::HttpsConnector<TcpConnector>, Error> {
    let mut builder = native_tls::TlsConnector::builder();
    builder.min_protocol_version(Some(native_tls::Protocol::Tlsv12));
    for root in given(settings)? {
        let root = native_tls::Certificate::from_der(&root).map_err(unusable)?;
        builder.add_root_certificate(root);
    }
    let tls = builder.build().map_err(unusable)?;
    let mut https = hyper_tls::HttpsConnector::from((TcpConnector, tls.into()));
    https.https_only(true);
    Ok(https)
}

fn given(settings: &HttpsSettings) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = settings.roots.as_deref().unwrap_or_default();
    roots::from_pem(pem.as_bytes()).map_err(|error| {
        Error::with_source(
            ErrorKind::Settings,
            "could not parse the root certificates in STAGELINK_PROVIDER_ROOT_CERTIFICATES",
            error,
        )
    })
}

fn unusable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::with_source(
        ErrorKind::ProviderUnavailable,
        "could not set up TLS for requests to the provider",
        source,
    )
}
