//! The algorithms of TLS connections, and the verification of a handshake's signature.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::{self, kx_group};
use rustls::crypto::{
    CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::SigningKey;
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};
use webpki::RawPublicKeyEntity;

use super::judge::Distrust;
use super::x509::X509;

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

/// Verifies the signature of a handshake of TLS 1.2 by the key of a certificate, whoever vouches for it.
pub(crate) fn verify_tls12(
    message: &[u8],
    own: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let mapping = signatures().mapping;
    let (_, candidates) = mapping
        .iter()
        .find(|(scheme, _)| *scheme == signed.scheme)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let key = key_of(own)?;
    let key = RawPublicKeyEntity::try_from(&key)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    // A scheme of TLS 1.2 does not say which curve it is for.
    let is_valid = candidates.iter().any(|algorithm| {
        let verified = key.verify_signature(*algorithm, message, signed.signature());
        verified.is_ok()
    });
    match is_valid {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
    }
}

/// Verifies the signature of a handshake of TLS 1.3 by the key of a certificate, whoever vouches for it.
pub(crate) fn verify_tls13(
    message: &[u8],
    own: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature_with_raw_key(message, &key_of(own)?, signed, &signatures())
}

fn key_of<'a>(own: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    let read = X509::read(own).ok_or(Distrust::Malformed)?;
    Ok(SubjectPublicKeyInfoDer::from(read.key.whole))
}
