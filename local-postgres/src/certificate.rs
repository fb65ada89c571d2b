//! Self-signed server certificates, as Heroku Postgres uses them.

use std::fmt;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use time::OffsetDateTime;

use crate::{Error, ErrorKind};

/// A server certificate and its private key, both as PEM.
#[derive(Clone)]
pub(crate) struct ServerCertificate {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl ServerCertificate {
    /// Creates an ECDSA P-256 key and a self-signed certificate for `localhost`,
    /// `127.0.0.1` and `::1`.
    pub(crate) fn generate() -> Result<Self, Error> {
        Self::try_generate().map_err(|error| {
            Error::new(
                ErrorKind::System,
                "could not create a TLS certificate for the server",
            )
            .with_source(error)
        })
    }

    fn try_generate() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(NAMES.map(str::to_owned))?;
        parameters
            .distinguished_name
            .push(DnType::CommonName, NAMES[0]);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let now = OffsetDateTime::now_utc();
        parameters.not_before = now - BACKDATED;
        parameters.not_after = now + LIFETIME;
        let certificate = parameters.self_signed(&key)?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").finish_non_exhaustive()
    }
}

const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Tolerates clients whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);

/// macOS refuses server certificates that are valid for more than 825 days
/// (support.apple.com/103769, 2019-07).
const LIFETIME: Duration = Duration::from_secs(800 * 24 * 60 * 60);

/// Age at which the certificate of a kept cluster is replaced, long before it expires.
pub(crate) const RENEW_AFTER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
