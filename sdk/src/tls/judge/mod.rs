//! The judge of certificates: whether one leads to a trusted root and is for a host.
//!
//! It decides as OpenSSL does (security level 2, purpose `sslserver`), with the names as libpq reads
//! them. Paths are built and signatures verified by webpki, which judges by stricter rules in some
//! points and by laxer ones in others; what differs is decided here:
//!
//! - webpki accepts a root that has expired, that may not issue certificates, or whose limits the
//!   path exceeds; and between them certificates whose key may not sign others.
//! - webpki accepts no certificate that is itself a root, that is an X.509 v1 one, or that is a
//!   CA's. Databases show such ones: `openssl req -x509` makes them.
//! - webpki checks name constraints on the names of the extension only. Below such constraints the
//!   common name does not count here. OpenSSL checks them on a common name with a dot.

mod distrust;
mod names;
#[cfg(test)]
mod oracle;
mod path;
mod root;
#[cfg(test)]
mod tests;

use rustls::pki_types::{CertificateDer, UnixTime};

pub(crate) use self::distrust::Distrust;
use self::path::NameConstraints;
use self::root::Root;
use super::certificate::unsupported_key;
use super::x509::{Extensions, X509, dotted};

/// The certificate of a server, and the chain that it sent along.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) own: &'a CertificateDer<'a>,
    pub(crate) chain: &'a [CertificateDer<'a>],
}

/// Judges a certificate: it has to be valid now, to be a server's, and to lead to one of the roots;
/// with `host`, to be for that host.
///
/// # Errors
///
/// The reason why it is not trusted.
pub(crate) fn verify(
    shown: Shown<'_>,
    roots: &[CertificateDer<'_>],
    host: Option<&str>,
    now: UnixTime,
) -> Result<(), Distrust> {
    let own = X509::read(shown.own).ok_or(Distrust::Malformed)?;
    check_key(&own)?;
    check_dates(&own, now)?;
    check_purpose(&own)?;
    let given: Vec<Root<'_>> = roots.iter().filter_map(Root::new).collect();
    let constraints = match is_root_itself(&own, &given) {
        true => NameConstraints::Absent,
        false => path::check(shown, &own, &given, now)?,
    };
    match host {
        Some(host) => names::check(&own, host, constraints),
        None => Ok(()),
    }
}

/// Refuses a key that rustls does not verify, and so no handshake can prove.
pub(crate) fn check_key(certificate: &X509<'_>) -> Result<(), Distrust> {
    match unsupported_key(&certificate.key) {
        Some(kind) => Err(Distrust::UnsupportedKey(kind)),
        None => Ok(()),
    }
}

/// A server's own certificate among the roots. Its signature proves nothing, whatever its hash.
fn is_root_itself(own: &X509<'_>, roots: &[Root<'_>]) -> bool {
    let mut roots = roots.iter();
    roots.any(|root| root.is_self_issued() && root.read.whole == own.whole)
}

fn check_dates(certificate: &X509<'_>, now: UnixTime) -> Result<(), Distrust> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < certificate.not_before {
        return Err(Distrust::NotYetValid);
    }
    if now > certificate.not_after {
        return Err(Distrust::Expired);
    }
    Ok(())
}

/// Refuses a certificate that is for other uses than a TLS server's, or that has a critical
/// extension which is not understood.
fn check_purpose(own: &X509<'_>) -> Result<(), Distrust> {
    let extensions = understood(own)?;
    let usage = extensions.key_usage;
    match usage.is_none_or(|usage| usage.is_for_handshakes) && is_for_servers(extensions) {
        true => Ok(()),
        false => Err(Distrust::Purpose),
    }
}

/// Returns whether the extended key usage allows TLS servers. Without one it does.
fn is_for_servers(extensions: &Extensions<'_>) -> bool {
    extensions.names_servers.unwrap_or(true)
}

/// Returns the extensions. Malformed ones are refused, and critical ones that are not understood
/// here or by webpki.
fn understood<'a, 'b>(certificate: &'b X509<'a>) -> Result<&'b Extensions<'a>, Distrust> {
    let extensions = certificate.extensions.as_ref();
    let extensions = extensions.ok_or(Distrust::Malformed)?;
    match extensions.unknown_critical {
        Some(oid) => Err(Distrust::CriticalExtension(dotted(oid))),
        None => Ok(extensions),
    }
}
