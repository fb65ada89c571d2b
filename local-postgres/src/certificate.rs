//! Self-signed server certificates, as Heroku Postgres uses them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::{ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

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

    fn try_generate() -> Result<Self, ErrorStack> {
        let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&curve)?)?;
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_nid(Nid::COMMONNAME, NAME)?;
        let name = name.build();
        let mut serial = BigNum::new()?;
        // A positive number of 20 bytes, as RFC 5280 has it.
        serial.rand(159, MsbOption::MAYBE_ZERO, false)?;
        let mut builder = X509::builder()?;
        // X.509 version 3.
        builder.set_version(2)?;
        builder.set_serial_number(&*serial.to_asn1_integer()?)?;
        builder.set_subject_name(&name)?;
        builder.set_issuer_name(&name)?;
        builder.set_pubkey(&key)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let time = |of: Duration| Asn1Time::from_unix(of.as_secs().try_into().unwrap_or(i64::MAX));
        builder.set_not_before(&*time(now.saturating_sub(BACKDATED))?)?;
        builder.set_not_after(&*time(now + LIFETIME)?)?;
        let names = SubjectAlternativeName::new()
            .dns(NAME)
            .ip("127.0.0.1")
            .ip("::1")
            .build(&builder.x509v3_context(None, None))?;
        builder.append_extension(names)?;
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        let pem = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self {
            certificate_pem: pem(builder.build().to_pem()?),
            key_pem: pem(key.private_key_to_pem_pkcs8()?),
        })
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").finish_non_exhaustive()
    }
}

const NAME: &str = "localhost";

/// Tolerates clients whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);

/// macOS refuses server certificates that are valid for more than 825 days
/// (support.apple.com/103769, 2019-07).
const LIFETIME: Duration = Duration::from_secs(800 * 24 * 60 * 60);

/// Age at which the certificate of a kept cluster is replaced, long before it expires.
pub(crate) const RENEW_AFTER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
