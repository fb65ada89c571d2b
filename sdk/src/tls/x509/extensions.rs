//! The extensions of a certificate (RFC 5280, section 4.2): those that its judgement needs.

use crate::tls::der::{
    BIT_STRING, BOOLEAN, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, field,
};

/// The extensions that are understood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions<'a> {
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<KeyUsage>,
    /// True where the extended key usage names TLS servers.
    pub(crate) names_servers: Option<bool>,
    pub(crate) alternative_names: Option<Vec<Name<'a>>>,
    /// webpki reads their content.
    pub(crate) name_constraints: Option<()>,
    /// The object identifier of a critical extension that is not understood.
    pub(crate) unknown_critical: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub(crate) is_ca: bool,
    pub(crate) path_length: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyUsage {
    /// Signs or encrypts what a TLS handshake needs.
    pub(crate) is_for_handshakes: bool,
    pub(crate) signs_certificates: bool,
}

/// A name of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name<'a> {
    /// Has to be ASCII, and may be anything.
    Dns(&'a [u8]),
    /// Four or sixteen bytes, if it is an address.
    Address(&'a [u8]),
}

impl<'a> Extensions<'a> {
    /// Reads the list. `None` where one is malformed, or there twice.
    pub(super) fn read(listed: &'a [u8]) -> Option<Self> {
        let mut outside = Reader::new(listed);
        let mut list = outside.nested(SEQUENCE)?;
        outside.end()?;
        let mut all = Self::default();
        while !list.is_empty() {
            let mut extension = list.nested(SEQUENCE)?;
            let oid = extension.value(OBJECT_IDENTIFIER)?;
            let is_critical = extension.optional(BOOLEAN)?.map(is_true);
            let value = Reader::new(extension.value(OCTET_STRING)?);
            extension.end()?;
            match oid {
                BASIC_CONSTRAINTS => put(&mut all.basic_constraints, basic_constraints(value)?)?,
                KEY_USAGE => put(&mut all.key_usage, key_usage(value)?)?,
                EXTENDED_KEY_USAGE => put(&mut all.names_servers, names_servers(value)?)?,
                ALTERNATIVE_NAMES => put(&mut all.alternative_names, names(value)?)?,
                NAME_CONSTRAINTS => put(&mut all.name_constraints, ())?,
                unknown if is_critical == Some(true) => all.unknown_critical = Some(unknown),
                _ => {}
            }
        }
        Some(all)
    }
}

/// Sets what is not set yet.
fn put<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// Whatever is not false is true, as OpenSSL reads it.
fn is_true(value: &[u8]) -> bool {
    value != [0]
}

fn basic_constraints(mut value: Reader<'_>) -> Option<BasicConstraints> {
    let mut fields = value.nested(SEQUENCE)?;
    value.end()?;
    let is_ca = fields.optional(BOOLEAN)?.is_some_and(is_true);
    let path_length = match fields.optional(INTEGER)? {
        None => None,
        Some(number) => Some(unsigned(number)?),
    };
    fields.end()?;
    Some(BasicConstraints { is_ca, path_length })
}

fn unsigned(number: &[u8]) -> Option<u64> {
    let is_negative = number.first()? & 0x80 != 0;
    let fits = number.len() <= size_of::<u64>();
    let sum = || {
        number
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    (fits && !is_negative).then(sum)
}

fn key_usage(mut value: Reader<'_>) -> Option<KeyUsage> {
    let (&unused, bits) = value.value(BIT_STRING)?.split_first()?;
    value.end()?;
    if unused > 7 || (unused > 0 && bits.is_empty()) {
        return None;
    }
    let first = bits.first().copied().unwrap_or(0);
    Some(KeyUsage {
        is_for_handshakes: first & (DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT) != 0,
        signs_certificates: first & KEY_CERT_SIGN != 0,
    })
}

fn names_servers(mut value: Reader<'_>) -> Option<bool> {
    let mut uses = value.nested(SEQUENCE)?;
    value.end()?;
    let mut names_servers = false;
    while !uses.is_empty() {
        names_servers |= uses.value(OBJECT_IDENTIFIER)? == SERVER_AUTH;
    }
    Some(names_servers)
}

fn names(mut value: Reader<'_>) -> Option<Vec<Name<'_>>> {
    let mut list = value.nested(SEQUENCE)?;
    value.end()?;
    let mut names = Vec::new();
    while !list.is_empty() {
        let name = list.element()?;
        if name.tag == DNS_NAME {
            names.push(Name::Dns(name.value));
        } else if name.tag == IP_ADDRESS {
            names.push(Name::Address(name.value));
        }
    }
    Some(names)
}

const DNS_NAME: u8 = field(2);
const IP_ADDRESS: u8 = field(7);

/// The bits of a key usage, the first one being the highest.
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_ENCIPHERMENT: u8 = 0x20;
const KEY_AGREEMENT: u8 = 0x08;
const KEY_CERT_SIGN: u8 = 0x04;

/// 2.5.29.15, .17, .19, .30 and .37.
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// 1.3.6.1.5.5.7.3.1.
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
