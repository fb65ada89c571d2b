//! The TLS policy of a database URL.

use std::path::PathBuf;

/// The way in which a server has to authenticate itself. Encryption without authentication is no
/// option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsPolicy {
    /// SCRAM channel binding, or a certificate that verifies, host name included.
    Auto,
    /// SCRAM channel binding: the endpoint of this TLS connection proves that it knows the
    /// password's verifier.
    ChannelBinding,
    /// A certificate that verifies.
    Verify {
        roots: Roots,
        hostname: bool,
        binding: Binding,
    },
}

/// The root certificates to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// The roots of the settings, else the system's.
    Default,
    /// The system's roots.
    System,
    File(PathBuf),
}

/// The requirement of SCRAM channel binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    Never,
    IfOffered,
    Required,
}

impl TlsPolicy {
    pub(crate) fn verify_full(roots: Roots) -> Self {
        Self::Verify {
            roots,
            hostname: true,
            binding: Binding::IfOffered,
        }
    }

    pub(crate) fn verify_ca(roots: Roots) -> Self {
        Self::Verify {
            roots,
            hostname: false,
            binding: Binding::IfOffered,
        }
    }

    pub(crate) fn binding(&self) -> Binding {
        match self {
            Self::Auto => Binding::IfOffered,
            Self::ChannelBinding => Binding::Required,
            Self::Verify { binding, .. } => *binding,
        }
    }
}
