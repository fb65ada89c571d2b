//! The self-signed certificate that a server shows, as Heroku's do.

use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use time::OffsetDateTime;

use crate::{Error, ErrorKind};

/// A certificate and its key, both PEM.
pub(crate) struct Certificate {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Certificate {
    /// Signs a new one for this machine's own names, with an ECDSA P-256 key.
    pub(crate) fn sign() -> Result<Self, Error> {
        Self::try_sign().map_err(|error| {
            Error::new(
                ErrorKind::System,
                "could not make a certificate for the Postgres server",
            )
            .because(error)
        })
    }

    fn try_sign() -> Result<Self, rcgen::Error> {
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

const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// For clients whose clock is a little behind.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);

/// macOS refuses server certificates that are valid for more than 825 days
/// (support.apple.com/103769, 2019-07).
const LIFETIME: Duration = Duration::from_secs(800 * 24 * 60 * 60);

/// Kept certificates are renewed at this age, long before they run out.
pub(crate) const RENEWAL: Duration = Duration::from_secs(365 * 24 * 60 * 60);
