//! The reasons why a certificate is not trusted.

use std::fmt;

/// The reason why a certificate is not trusted. The texts are those of OpenSSL where it has the
/// same reason: they are what people search for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Distrust {
    Malformed,
    /// Holds the kind of key.
    UnsupportedKey(String),
    NotYetValid,
    Expired,
    RootExpired,
    Purpose,
    /// Holds the extension's object identifier.
    CriticalExtension(String),
    SelfSigned,
    UnknownIssuer,
    PathTooLong,
    HostName,
    Address,
    /// The host is the common name only, and an issuer of the path has name constraints.
    CommonName,
    /// Holds the reason of webpki's.
    Path(webpki::Error),
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the certificate is malformed",
            Self::UnsupportedKey(kind) => {
                return write!(
                    f,
                    "the server has {kind}, which rustls does not support: give the server an RSA \
                     key or one on P-256 or P-384, or use the platform's TLS library \
                     (STAGELINK_TLS_LIBRARY=native-tls)"
                );
            }
            Self::NotYetValid => "certificate is not yet valid",
            Self::Expired => "certificate has expired",
            Self::RootExpired => "the root certificate that it leads to has expired",
            Self::Purpose => "unsuitable certificate purpose: it is not for a TLS server",
            Self::CriticalExtension(oid) => {
                return write!(f, "unhandled critical extension {oid}");
            }
            Self::SelfSigned => "self-signed certificate",
            Self::UnknownIssuer => "unable to get local issuer certificate",
            Self::PathTooLong => "path length constraint exceeded",
            Self::HostName => "hostname mismatch",
            Self::Address => "IP address mismatch",
            Self::CommonName => {
                "the certificate names the host in its common name only, which does not count below \
                 an issuer with name constraints: issue a certificate with a subject alternative \
                 name"
            }
            Self::Path(reason) => return write!(f, "{reason}"),
        })
    }
}

impl std::error::Error for Distrust {}
