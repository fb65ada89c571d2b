//! The fields of an X.509 certificate (RFC 5280): those that its judgement and SCRAM need.

mod extensions;
#[cfg(test)]
pub(crate) mod tests;
mod time;

use rustls::pki_types::CertificateDer;

use super::der::{
    BIT_STRING, INTEGER, OBJECT_IDENTIFIER, Reader, SEQUENCE, SET, field, nested_field,
};

pub(crate) use self::extensions::{Extensions, Name};

/// A certificate. Its fields are parts of its bytes.
#[derive(Clone, Debug)]
pub(crate) struct X509<'a> {
    pub(crate) whole: &'a [u8],
    /// The part that the issuer has signed.
    pub(crate) signed: &'a [u8],
    pub(crate) version: Version,
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
    /// In seconds since 1970, as the next one.
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) key: KeyInfo<'a>,
    pub(crate) signature_algorithm: Algorithm<'a>,
    pub(crate) signature: &'a [u8],
    /// `None` where one is malformed, or there twice.
    pub(crate) extensions: Option<Extensions<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
    V3,
}

/// A public key (`SubjectPublicKeyInfo`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyInfo<'a> {
    pub(crate) whole: &'a [u8],
    pub(crate) algorithm: Algorithm<'a>,
    pub(crate) bits: &'a [u8],
}

/// An algorithm, by the bytes of its object identifier, and its parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Algorithm<'a> {
    pub(crate) oid: &'a [u8],
    parameters: Reader<'a>,
}

impl<'a> X509<'a> {
    /// Reads a certificate, which has to fill its bytes.
    pub(crate) fn read(der: &'a CertificateDer<'_>) -> Option<Self> {
        let whole = der.as_ref();
        let mut outside = Reader::new(whole);
        let mut certificate = outside.nested(SEQUENCE)?;
        outside.end()?;
        let signed = certificate.expect(SEQUENCE)?;
        let signature_algorithm = Algorithm::read(&mut certificate)?;
        let signature = bits(&mut certificate)?;
        certificate.end()?;

        let mut fields = Reader::new(signed.value);
        let version = match fields.optional(nested_field(0))? {
            None => Version::V1,
            Some(explicit) => version(explicit)?,
        };
        let _serial = fields.value(INTEGER)?;
        let _signature_algorithm = fields.value(SEQUENCE)?;
        let issuer = fields.value(SEQUENCE)?;
        let mut validity = fields.nested(SEQUENCE)?;
        let not_before = time::read(&mut validity)?;
        let not_after = time::read(&mut validity)?;
        validity.end()?;
        let subject = fields.value(SEQUENCE)?;
        let key = KeyInfo::read(&mut fields)?;
        let _issuer_id = fields.optional(field(1))?;
        let _subject_id = fields.optional(field(2))?;
        let extensions = match fields.optional(nested_field(3))? {
            None => Some(Extensions::default()),
            Some(listed) => Extensions::read(listed),
        };
        fields.end()?;
        Some(Self {
            whole,
            signed: signed.whole,
            version,
            issuer,
            subject,
            not_before,
            not_after,
            key,
            signature_algorithm,
            signature,
            extensions,
        })
    }

    /// Returns the first common name of the subject.
    pub(crate) fn common_name(&self) -> Option<&'a [u8]> {
        let mut names = Reader::new(self.subject);
        while !names.is_empty() {
            let mut set = names.nested(SET)?;
            while !set.is_empty() {
                let mut attribute = set.nested(SEQUENCE)?;
                if attribute.value(OBJECT_IDENTIFIER)? == COMMON_NAME {
                    return attribute.element().map(|name| name.value);
                }
            }
        }
        None
    }

    /// Returns whether it says that it is a CA's.
    pub(crate) fn is_ca(&self) -> bool {
        let constraints = self
            .extensions
            .as_ref()
            .and_then(|all| all.basic_constraints);
        constraints.is_some_and(|constraints| constraints.is_ca)
    }
}

impl<'a> KeyInfo<'a> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        let info = from.expect(SEQUENCE)?;
        let mut fields = Reader::new(info.value);
        let algorithm = Algorithm::read(&mut fields)?;
        let bits = bits(&mut fields)?;
        fields.end()?;
        Some(Self {
            whole: info.whole,
            algorithm,
            bits,
        })
    }

    /// Returns the size of an RSA key's modulus, as ring counts it: in whole bytes.
    pub(crate) fn rsa_bits(&self) -> Option<usize> {
        let modulus = Reader::new(self.bits).nested(SEQUENCE)?.value(INTEGER)?;
        let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
        Some((modulus.len() - zeros) * 8)
    }
}

impl<'a> Algorithm<'a> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        let mut fields = from.nested(SEQUENCE)?;
        Some(Self {
            oid: fields.value(OBJECT_IDENTIFIER)?,
            parameters: fields,
        })
    }

    /// Returns the object identifier that is the parameter: an EC key's curve.
    pub(crate) fn curve(&self) -> Option<&'a [u8]> {
        let mut parameters = self.parameters;
        parameters.value(OBJECT_IDENTIFIER)
    }

    /// Returns the hash of an RSA-PSS signature; `None` is the default, SHA-1 (RFC 4055).
    pub(crate) fn pss_hash(&self) -> Option<Option<&'a [u8]>> {
        let mut parameters = self.parameters;
        match parameters.nested(SEQUENCE)?.optional(nested_field(0))? {
            None => Some(None),
            Some(hash) => Some(Some(Algorithm::read(&mut Reader::new(hash))?.oid)),
        }
    }
}

fn version(explicit: &[u8]) -> Option<Version> {
    let mut explicit = Reader::new(explicit);
    let number = explicit.value(INTEGER)?;
    explicit.end()?;
    match number {
        [0] => Some(Version::V1),
        [1] => Some(Version::V2),
        [2] => Some(Version::V3),
        _ => None,
    }
}

/// Reads a bit string of whole bytes.
fn bits<'a>(from: &mut Reader<'a>) -> Option<&'a [u8]> {
    from.value(BIT_STRING)?.strip_prefix(&[0])
}

/// Writes an object identifier as numbers with dots between.
pub(crate) fn dotted(oid: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    for byte in oid {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            // The first two numbers are one.
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first.to_string());
                number -= first * 40;
            }
            numbers.push(number.to_string());
            number = 0;
        }
    }
    numbers.join(".")
}

/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
