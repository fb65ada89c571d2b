//! The names of a certificate, as libpq reads them (`fe-secure-common.c` and
//! `fe-secure-openssl.c` of Postgres 18).

use std::net::IpAddr;

use super::Distrust;
use super::path::NameConstraints;
use crate::tls::x509::{Name, X509};

/// Checks that a certificate is for a host.
///
/// Names of its extension count first: a DNS name as text, also where the host is an address, and an
/// address byte by byte. The common name counts where none of these is of the host's kind, and no
/// issuer of the path has name constraints.
///
/// webpki checks constraints on the names of the extension only. OpenSSL checks them on the common
/// name too, unless that has a single label. The judge is stricter: below constraints no common name
/// counts, not even one of a single label or one that they permit.
pub(super) fn check(
    certificate: &X509<'_>,
    host: &str,
    constraints: NameConstraints,
) -> Result<(), Distrust> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = host.parse::<IpAddr>().ok();
    match is_for(certificate, host, address, constraints)? {
        true => Ok(()),
        false if address.is_some() => Err(Distrust::Address),
        false => Err(Distrust::HostName),
    }
}

fn is_for(
    certificate: &X509<'_>,
    host: &str,
    address: Option<IpAddr>,
    constraints: NameConstraints,
) -> Result<bool, Distrust> {
    let extensions = certificate.extensions.as_ref().ok_or(Distrust::Malformed)?;
    let mut has_kind = false;
    for name in extensions.alternative_names.iter().flatten() {
        let is_own = match name {
            Name::Dns(name) => {
                has_kind |= address.is_none();
                matches(name, host)
            }
            Name::Address(bytes) => {
                has_kind |= address.is_some();
                address.is_some_and(|address| is_address(bytes, address))
            }
        };
        if is_own {
            return Ok(true);
        }
    }
    if has_kind {
        return Ok(false);
    }
    let common_name = certificate.common_name();
    let is_own = common_name.is_some_and(|name| matches(name, host));
    match constraints {
        NameConstraints::Present if is_own => Err(Distrust::CommonName),
        _ => Ok(is_own),
    }
}

/// Returns whether a name is the host's: the same text but for case, or a wildcard in place of its
/// first label.
fn matches(name: &[u8], host: &str) -> bool {
    let host = host.as_bytes();
    if name.contains(&0) || host.is_empty() {
        return false;
    }
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(domain) = name.strip_prefix(b"*").filter(|rest| rest.len() > 1) else {
        return false;
    };
    let first_dot = host.iter().position(|byte| *byte == b'.');
    domain.starts_with(b".")
        && first_dot.is_some_and(|dot| dot > 0 && host[dot..].eq_ignore_ascii_case(domain))
}

fn is_address(bytes: &[u8], address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => bytes == address.octets(),
        IpAddr::V6(address) => bytes == address.octets(),
    }
}
