//! The path from a certificate to a root.

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, RawPublicKeyEntity, VerifiedPath, anchor_from_trusted_cert};

use super::root::Root;
use super::{Distrust, Shown};
use crate::tls::algorithms;
use crate::tls::x509::{Version, X509};

/// The presence of name constraints in an issuer of a path, its root included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameConstraints {
    Present,
    Absent,
}

/// Checks that a certificate leads to one of the roots. Returns whether an issuer of the path has name
/// constraints.
pub(super) fn check(
    shown: Shown<'_>,
    own: &X509<'_>,
    given: &[Root<'_>],
    now: UnixTime,
) -> Result<NameConstraints, Distrust> {
    let (ends, between): (Vec<&Root<'_>>, Vec<&Root<'_>>) =
        given.iter().partition(|root| root.is_self_issued());
    let issuers: Vec<&Root<'_>> = ends.into_iter().filter(|root| root.may_issue()).collect();
    let current = issuers.iter().filter(|root| root.is_valid_at(now));
    let current: Vec<&Root<'_>> = current.copied().collect();
    let search = |ends: &[&Root<'_>]| find(shown, own, ends, &between, now);
    let refused = match search(&current) {
        Ok(constraints) => return Ok(constraints),
        Err(reason) => reason,
    };
    // webpki does not look at a root's dates, so this shows whether they are the only reason.
    if current.len() < issuers.len() && search(&issuers).is_ok() {
        return Err(Distrust::RootExpired);
    }
    let is_self_issued = own.subject == own.issuer;
    Err(match refused {
        Distrust::UnknownIssuer if is_self_issued => Distrust::SelfSigned,
        reason => reason,
    })
}

/// Finds a path to one of `ends`, by way of the server's chain and of `between`, and returns whether it
/// has name constraints. They do not lead to a search for another path.
fn find(
    shown: Shown<'_>,
    own: &X509<'_>,
    ends: &[&Root<'_>],
    between: &[&Root<'_>],
    now: UnixTime,
) -> Result<NameConstraints, Distrust> {
    if own.version != Version::V3 || own.is_ca() {
        return match ends.iter().any(|root| has_issued(root, own)) {
            true => Ok(NameConstraints::Absent),
            false => Err(Distrust::UnknownIssuer),
        };
    }
    let (ends, anchors): (Vec<&Root<'_>>, Vec<TrustAnchor<'_>>) = ends
        .iter()
        .filter_map(|root| Some((*root, anchor_from_trusted_cert(root.der).ok()?)))
        .unzip();
    let between = between.iter().map(|root| root.der);
    let between: Vec<CertificateDer<'_>> = (shown.chain.iter().chain(between))
        .map(|der| CertificateDer::from(der.as_ref()))
        .collect();
    let end_entity = EndEntityCert::try_from(shown.own).map_err(reason)?;
    let end_of = |path: &VerifiedPath<'_>| {
        let mut found = anchors.iter().zip(&ends);
        let end = found.find(|(anchor, _)| std::ptr::eq(*anchor, path.anchor()));
        end.map(|(_, root)| *root)
    };
    // What webpki leaves out. Where it is not so, webpki looks for another path.
    let check_rest = |path: &VerifiedPath<'_>| {
        let mut links = path.intermediate_certificates();
        if !links.all(|link| Root::new(&link.der()).is_some_and(|link| link.may_issue())) {
            return Err(webpki::Error::EndEntityUsedAsCa);
        }
        let length = path.intermediate_certificates().count();
        match end_of(path).is_some_and(|root| root.allows_length(length)) {
            true => Ok(()),
            false => Err(webpki::Error::PathLenConstraintViolated),
        }
    };
    let found = end_entity.verify_for_usage(
        algorithms::signatures().all,
        &anchors,
        &between,
        now,
        KeyUsage::server_auth(),
        None,
        Some(&check_rest),
    );
    let path = found.map_err(reason)?;
    let mut links = path.intermediate_certificates();
    let is_constrained = end_of(&path).is_none_or(Root::constrains_names)
        || links.any(|link| Root::new(&link.der()).is_none_or(|link| link.constrains_names()));
    Ok(match is_constrained {
        true => NameConstraints::Present,
        false => NameConstraints::Absent,
    })
}

/// Returns whether a root has itself issued a certificate that webpki takes for none of a server:
/// an X.509 v1 one or a CA's. Limits on names, which webpki would check, rule that out.
fn has_issued(root: &Root<'_>, own: &X509<'_>) -> bool {
    if root.read.subject != own.issuer || root.constrains_names() {
        return false;
    }
    let key = SubjectPublicKeyInfoDer::from(root.read.key.whole);
    let Ok(key) = RawPublicKeyEntity::try_from(&key) else {
        return false;
    };
    let mut algorithms = algorithms::signatures().all.iter();
    algorithms.any(|algorithm| {
        let verified = key.verify_signature(*algorithm, own.signed, own.signature);
        verified.is_ok()
    })
}

fn reason(error: webpki::Error) -> Distrust {
    match error {
        webpki::Error::UnknownIssuer => Distrust::UnknownIssuer,
        webpki::Error::CertExpired { .. } => Distrust::Expired,
        webpki::Error::CertNotValidYet { .. } => Distrust::NotYetValid,
        webpki::Error::PathLenConstraintViolated => Distrust::PathTooLong,
        other => Distrust::Path(other),
    }
}
