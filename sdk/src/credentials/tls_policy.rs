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

    /// Combines the parameters `sslmode`, `sslrootcert` and `channel_binding` of a database URL.
    ///
    /// # Errors
    ///
    /// The reason, for a message, why they request something weaker or unknown.
    pub(crate) fn from_parameters(
        mode: Option<&str>,
        roots: Option<&str>,
        binding: Option<&str>,
    ) -> Result<Self, String> {
        let require_binding = match binding {
            None | Some("prefer" | "disable") => false,
            Some("require") => true,
            Some(_) => return Err("channel_binding is not disable, prefer or require".to_owned()),
        };
        let given = roots.map(|path| match path {
            "system" => Roots::System,
            path => Roots::File(PathBuf::from(path)),
        });
        let policy = match (mode, given) {
            (Some("disable" | "allow" | "prefer"), _) => {
                return Err(
                    "its sslmode allows a connection without encryption; use require, verify-ca or \
                     verify-full, or remove it"
                        .to_owned(),
                );
            }
            // libpq: sslrootcert=system means verify-full, and refuses a weaker mode.
            (None | Some("verify-full"), Some(Roots::System)) => Self::verify_full(Roots::System),
            (Some(_), Some(Roots::System)) => {
                return Err("sslrootcert=system needs sslmode=verify-full".to_owned());
            }
            // libpq: require beside a root certificate is verify-ca.
            (None | Some("require" | "verify-ca"), Some(roots)) => Self::verify_ca(roots),
            (Some("verify-full"), roots) => Self::verify_full(roots.unwrap_or(Roots::Default)),
            (Some("verify-ca"), None) => Self::verify_ca(Roots::Default),
            (None | Some("require"), None) if binding == Some("disable") => {
                return Err(
                    "channel_binding=disable leaves no way to authenticate the server; remove it, \
                     or use sslmode=verify-full"
                        .to_owned(),
                );
            }
            (None | Some("require"), None) if require_binding => Self::ChannelBinding,
            (None | Some("require"), None) => Self::Auto,
            (Some(_), _) => {
                return Err(
                    "sslmode is not one that libpq knows; use require, verify-ca or verify-full"
                        .to_owned(),
                );
            }
        };
        Ok(match (policy, binding) {
            (
                Self::Verify {
                    roots, hostname, ..
                },
                Some("disable"),
            ) => Self::Verify {
                roots,
                hostname,
                binding: Binding::Never,
            },
            (
                Self::Verify {
                    roots, hostname, ..
                },
                Some("require"),
            ) => Self::Verify {
                roots,
                hostname,
                binding: Binding::Required,
            },
            (policy, _) => policy,
        })
    }
}
