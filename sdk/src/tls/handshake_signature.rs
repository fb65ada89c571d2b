//! The signature of a handshake, which shows that the server has its certificate's key.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};
use webpki::RawPublicKeyEntity;

use super::algorithms::signatures;
use super::judge::Distrust;
use super::x509::X509;

/// Verifies the signature of a handshake of TLS 1.2 by the key of a certificate, which need not be trusted.
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

/// Verifies the signature of a handshake of TLS 1.3 by the key of a certificate, which need not be trusted.
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
