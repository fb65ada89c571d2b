//! TLS to a provider: HTTPS with the roots of public authorities, and those of the settings.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use hyper_rustls::HttpsConnector;
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use super::tcp_connector::TcpConnector;
use crate::config::HttpsSettings;
use crate::error::{Error, ErrorKind};
use crate::tls::{algorithms, roots};

/// Creates the connector of rustls.
///
/// The roots are built in: reading the system's takes longer than the rest of a function's start.
/// Where the environment names the system's, as a company's machines do, those count instead.
pub(super) fn rustls(settings: &HttpsSettings) -> Result<HttpsConnector<TcpConnector>, Error> {
    let mut trusted = match roots::are_named() {
        true => {
            let mut named = RootCertStore::empty();
            named.add_parsable_certificates(roots::system().iter().cloned());
            named
        }
        false => RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
    };
    for root in given(settings)? {
        trusted.add(root).map_err(unusable)?;
    }
    let mut https = trusting(trusted)?;
    https.enforce_https();
    Ok(https)
}

fn trusting(roots: RootCertStore) -> Result<HttpsConnector<TcpConnector>, Error> {
    let builder = ClientConfig::builder_with_provider(algorithms::crypto_provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?;
    let mut config = builder
        .with_root_certificates(Arc::new(roots))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(HttpsConnector::from((TcpConnector, config)))
}

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

fn given(
    settings: &HttpsSettings,
) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, Error> {
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
