//! The facts of a server's certificate: its key, and the hash that SCRAM binds to.

use ring::digest::{SHA384, SHA512, digest};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha224, Sha256};

use super::x509::{Algorithm, KeyInfo, X509, dotted};
use crate::config::ServerPin;

/// The certificate that a server showed, and the chain that it sent along.
pub(crate) struct Certificate {
    pub(crate) own: CertificateDer<'static>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: Option<PublicKey>,
    end_point: Option<Vec<u8>>,
}

/// A server's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey(ServerPin);

impl PublicKey {
    /// Returns the pin of the key.
    pub(crate) fn pin(self) -> ServerPin {
        self.0
    }
}

impl Certificate {
    /// Reads the facts of a certificate. One that cannot be read has none.
    pub(crate) fn new(own: CertificateDer<'static>, chain: Vec<CertificateDer<'static>>) -> Self {
        let read = X509::read(&own);
        let key = read.as_ref().map(|read| ServerPin::of_key(read.key.whole));
        let signed_by = read.map(|read| read.signature_algorithm);
        Self {
            key: key.map(PublicKey),
            end_point: signed_by.and_then(|signed_by| end_point(signed_by, &own)),
            own,
            chain,
        }
    }

    /// Returns the hash of the certificate that SCRAM binds to (`tls-server-end-point`,
    /// RFC 5929). Some certificates, such as those signed with Ed25519, define none.
    pub(crate) fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }

    /// Returns the server's public key.
    pub(crate) fn key(&self) -> Option<PublicKey> {
        self.key
    }
}

/// Hashes the certificate with the hash of its signature; SHA-256 in place of MD5 and SHA-1. SHA-384
/// and SHA-512 are ring's, which TLS needs anyway; it has no SHA-224.
fn end_point(signed_by: Algorithm<'_>, der: &[u8]) -> Option<Vec<u8>> {
    let hash = match signed_by.oid {
        RSA_PSS => of_identifier(signed_by.pss_hash()?)?,
        signature => of_signature(signature)?,
    };
    Some(match hash {
        Hash::Sha224 => Sha224::digest(der).to_vec(),
        Hash::Sha256 => Sha256::digest(der).to_vec(),
        Hash::Sha384 => digest(&SHA384, der).as_ref().to_vec(),
        Hash::Sha512 => digest(&SHA512, der).as_ref().to_vec(),
    })
}

/// The hash that SCRAM binds with.
enum Hash {
    Sha224,
    /// In place of MD5 and SHA-1 too.
    Sha256,
    Sha384,
    Sha512,
}

/// Returns the hash of a signature algorithm (RFC 8017, appendix C; RFC 5758).
fn of_signature(oid: &[u8]) -> Option<Hash> {
    if let Some([number]) = oid.strip_prefix(PKCS_1) {
        return Some(match number {
            // MD5, SHA-1 and SHA-256.
            4 | 5 | 11 => Hash::Sha256,
            12 => Hash::Sha384,
            13 => Hash::Sha512,
            14 => Hash::Sha224,
            _ => return None,
        });
    }
    Some(match oid.strip_prefix(ECDSA_WITH)? {
        // SHA-1, then those of SHA-2.
        [1] | [3, 2] => Hash::Sha256,
        [3, 1] => Hash::Sha224,
        [3, 3] => Hash::Sha384,
        [3, 4] => Hash::Sha512,
        _ => return None,
    })
}

/// Returns a hash by its own identifier. None is SHA-1.
fn of_identifier(oid: Option<&[u8]>) -> Option<Hash> {
    let Some(oid) = oid.filter(|oid| *oid != SHA_1) else {
        return Some(Hash::Sha256);
    };
    Some(match oid.strip_prefix(SHA_2)? {
        [1] => Hash::Sha256,
        [2] => Hash::Sha384,
        [3] => Hash::Sha512,
        [4] => Hash::Sha224,
        _ => return None,
    })
}

/// Returns the kind of a public key that rustls with ring does not verify; `None` for those that
/// it does.
pub(super) fn unsupported_key(key: &KeyInfo<'_>) -> Option<String> {
    match key.algorithm.oid {
        ED25519 => None,
        RSA => match key.rsa_bits()? {
            bits @ ..LEAST_RSA_BITS => Some(format!(
                "an RSA key of {bits} bits, fewer than {LEAST_RSA_BITS}"
            )),
            LEAST_RSA_BITS..=MOST_RSA_BITS => None,
            bits => Some(format!(
                "an RSA key of {bits} bits, more than {MOST_RSA_BITS}"
            )),
        },
        EC => match key.algorithm.curve() {
            Some(P256 | P384) => None,
            Some(P521) => Some("an EC key on P-521".to_owned()),
            Some(curve) => Some(format!("an EC key on the curve {}", dotted(curve))),
            None => Some("an EC key without the name of its curve".to_owned()),
        },
        RSA_PSS => Some("an RSA-PSS key (one for RSA-PSS signatures alone)".to_owned()),
        ED448 => Some("an Ed448 key".to_owned()),
        DSA => Some("a DSA key".to_owned()),
        other => Some(format!("a key of the kind {}", dotted(other))),
    }
}

/// The least that ring verifies, and that OpenSSL's security level 2 accepts.
const LEAST_RSA_BITS: usize = 2048;

/// The most that ring verifies (docs.rs/ring/0.17, `RSA_PKCS1_2048_8192_SHA256`).
const MOST_RSA_BITS: usize = 8192;

/// 1.2.840.113549.1.1, whose .1 are RSA keys, and .10 those and signatures of RSA-PSS.
const PKCS_1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
/// 1.2.840.10045.2.1 and 1.2.840.10045.4.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ECDSA_WITH: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
/// 1.2.840.10045.3.1.7, 1.3.132.0.34 and 1.3.132.0.35.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
/// 1.3.101.112 and 1.3.101.113.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const ED448: &[u8] = &[0x2b, 0x65, 0x71];
/// 1.2.840.10040.4.1.
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01];
/// 1.3.14.3.2.26, and 2.16.840.1.101.3.4.2.
const SHA_1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const SHA_2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

#[cfg(test)]
mod tests {
    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;
    use rustls::pki_types::CertificateDer;

    use super::*;
    use crate::tls::x509::X509;

    /// Makes a certificate with an RSA key of so many bits, without a private part.
    fn with_rsa(bits: i32) -> CertificateDer<'static> {
        let mut modulus = BigNum::new().unwrap();
        modulus.set_bit(bits - 1).unwrap();
        modulus.set_bit(0).unwrap();
        let exponent = BigNum::from_u32(65_537).unwrap();
        let key = Rsa::from_public_components(modulus, exponent).unwrap();
        let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let issuer = PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap();
        let mut builder = openssl::x509::X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let day = Asn1Time::days_from_now(1).unwrap();
        builder.set_not_before(&day).unwrap();
        builder.set_not_after(&day).unwrap();
        builder.set_pubkey(&PKey::from_rsa(key).unwrap()).unwrap();
        builder.sign(&issuer, MessageDigest::sha256()).unwrap();
        builder.build().to_der().unwrap().into()
    }

    #[test]
    fn rsa_key_that_ring_does_not_verify_is_named_with_its_length() {
        for (bits, expected) in [
            (2040, Some("an RSA key of 2040 bits, fewer than 2048")),
            (2048, None),
            (8192, None),
            (8200, Some("an RSA key of 8200 bits, more than 8192")),
        ] {
            let certificate = with_rsa(bits);
            let read = X509::read(&certificate).unwrap();
            assert_eq!(unsupported_key(&read.key).as_deref(), expected, "{bits}");
        }
    }
}
