//! How a server must prove itself, as its URL says.

use std::path::PathBuf;

/// How a server must prove that it is the right one. Encryption without proof
/// is not among the choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsPolicy {
    /// SCRAM channel binding; where the server does not offer it, a certificate
    /// that verifies, host name included.
    Auto,
    /// SCRAM channel binding: the server at the end of this very connection
    /// proves that it knows the password's verifier.
    ChannelBinding,
    /// A certificate that verifies.
    Verify {
        roots: Roots,
        hostname: bool,
        binding: Binding,
    },
}

/// Whom to trust for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Those of the settings, or else the system's.
    Default,
    /// The system's.
    System,
    File(PathBuf),
}

/// Whether the server has to bind its proof of the password to the TLS connection.
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
