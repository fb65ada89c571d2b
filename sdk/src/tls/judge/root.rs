//! A root certificate, and what it may issue.

use rustls::pki_types::{CertificateDer, UnixTime};

use super::{check_dates, is_for_servers, understood};
use crate::tls::x509::{Version, X509};

/// A certificate of the roots that were given.
pub(super) struct Root<'a> {
    pub(super) der: &'a CertificateDer<'a>,
    pub(super) read: X509<'a>,
}

impl<'a> Root<'a> {
    /// Reads a root. `None` for one that cannot be read: it proves nothing.
    pub(super) fn new(der: &'a CertificateDer<'_>) -> Option<Self> {
        let read = X509::read(der)?;
        Some(Self { der, read })
    }

    /// Returns whether it ends a path. One that is not says only how to go on.
    pub(super) fn is_self_issued(&self) -> bool {
        self.read.subject == self.read.issuer
    }

    /// Returns whether it may issue the certificates of TLS servers: it says that it is a CA's, or
    /// is as old as X.509 v1, which has no way to say so.
    pub(super) fn may_issue(&self) -> bool {
        let Ok(extensions) = understood(&self.read) else {
            return false;
        };
        let usage = extensions.key_usage;
        let is_ca = match extensions.basic_constraints {
            Some(constraints) => constraints.is_ca,
            None => self.read.version == Version::V1 || usage.is_some(),
        };
        is_ca && usage.is_none_or(|usage| usage.signs_certificates) && is_for_servers(extensions)
    }

    pub(super) fn is_valid_at(&self, now: UnixTime) -> bool {
        check_dates(&self.read, now).is_ok()
    }

    /// Returns whether a path from it may have this number of certificates between.
    pub(super) fn allows_length(&self, between: usize) -> bool {
        let Ok(extensions) = understood(&self.read) else {
            return false;
        };
        let constraints = extensions.basic_constraints;
        let most = constraints.and_then(|constraints| constraints.path_length);
        most.is_none_or(|most| u64::try_from(between).is_ok_and(|between| between <= most))
    }

    pub(super) fn constrains_names(&self) -> bool {
        let extensions = self.read.extensions.as_ref();
        extensions.is_none_or(|extensions| extensions.name_constraints.is_some())
    }
}
