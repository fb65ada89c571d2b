//! The algorithms of TLS connections.

use std::sync::{Arc, OnceLock};

use rustls::crypto::ring::{self, kx_group};
use rustls::crypto::{CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{Error, SignatureScheme};

/// Returns the algorithms: those of ring, with P-256 first. Postgres up to 17 answers any other
/// group with a HelloRetryRequest, a round trip more (`ssl_ecdh_curve` of
/// postgresql.org/docs/17/runtime-config-connection.html).
pub(crate) fn crypto_provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let made = PROVIDER.get_or_init(|| {
        Arc::new(CryptoProvider {
            kx_groups: vec![kx_group::SECP256R1, kx_group::X25519, kx_group::SECP384R1],
            key_provider: &NoPrivateKeys,
            ..ring::default_provider()
        })
    });
    Arc::clone(made)
}

/// Loads no private key: the client has no certificate, and an artifact then holds no code that signs.
#[derive(Debug)]
struct NoPrivateKeys;

impl KeyProvider for NoPrivateKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("the client has no certificate".to_owned()))
    }
}

/// Returns the algorithms of signatures that are accepted: RSA of 2,048 bits or more with SHA-2,
/// ECDSA on P-256 and P-384, and Ed25519.
pub(crate) fn signatures() -> WebPkiSupportedAlgorithms {
    crypto_provider().signature_verification_algorithms
}

/// Returns the signature schemes to offer. The last ones are for keys that ring does not know: a
/// server that has only such a key then shows its certificate, and the error can name the key.
pub(crate) fn offered_schemes() -> Vec<SignatureScheme> {
    let mut schemes = signatures().supported_schemes();
    schemes.push(SignatureScheme::ECDSA_NISTP521_SHA512);
    // rsa_pss_pss_sha256, rsa_pss_pss_sha384 and rsa_pss_pss_sha512 (RFC 8446, section 4.2.3).
    schemes.extend([0x0809, 0x080a, 0x080b].map(SignatureScheme::from));
    schemes
}
