//! The reasons why a certificate is not trusted.

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};

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

impl From<Distrust> for rustls::Error {
    fn from(reason: Distrust) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(reason))))
    }
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
            Self::Path(reason) => of_path(reason),
        })
    }
}

impl std::error::Error for Distrust {}

/// Returns what keeps webpki from a path to a root. webpki's own texts are names of its program.
fn of_path(error: &webpki::Error) -> &'static str {
    use webpki::Error;

    match error {
        Error::UnsupportedSignatureAlgorithmContext(_) => {
            "a certificate of the path is signed with an algorithm that rustls does not support: \
             issue it with RSA or ECDSA and SHA-2, or use the platform's TLS library \
             (STAGELINK_TLS_LIBRARY=native-tls)"
        }
        Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "an issuer of the path has a kind of key that rustls does not support: give it an RSA \
             key or one on P-256 or P-384, or use the platform's TLS library \
             (STAGELINK_TLS_LIBRARY=native-tls)"
        }
        Error::InvalidSignatureForPublicKey => {
            "certificate signature failure: an issuer of the path has another key than the one that \
             signed, or an RSA key of more than 8192 bits, which rustls does not support; trust the root \
             that issued the server's certificate, or use the platform's TLS library \
             (STAGELINK_TLS_LIBRARY=native-tls)"
        }
        Error::SignatureAlgorithmMismatch => {
            "a certificate of the path names two different signature algorithms: issue it again"
        }
        Error::NameConstraintViolation => {
            "permitted subtree violation: an issuer of the path may not issue certificates for a \
             name of this one (name constraints); issue one for names that it permits"
        }
        Error::MalformedNameConstraint | Error::InvalidNetworkMaskConstraint => {
            "an issuer of the path has malformed name constraints: issue its certificate again"
        }
        Error::EmptyEkuExtension | Error::RequiredEkuNotFoundContext(_) => {
            "unsuitable certificate purpose: an issuer of the path is not for TLS servers \
             (extended key usage); issue its certificate with serverAuth"
        }
        Error::EndEntityUsedAsCa => {
            "invalid CA certificate: a certificate between the server's and the root may not issue \
             others; issue it as a CA's, with keyCertSign"
        }
        Error::CaUsedAsEndEntity => "the certificate is a CA's: issue one for the server",
        Error::UnsupportedCriticalExtension => {
            "unhandled critical extension in a certificate of the path: issue it without"
        }
        Error::UnsupportedCertVersion => {
            "a certificate of the path is not of version 3: issue it again, as X.509 v3"
        }
        Error::MaximumNameConstraintComparisonsExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded
        | Error::MaximumSignatureChecksExceeded => {
            "the path to a root is too long or has too many branches: let the server send the \
             certificates of its path alone"
        }
        _ => "a certificate of the path is malformed: issue it again",
    }
}

#[cfg(test)]
mod tests {
    use webpki::{Error, UnsupportedSignatureAlgorithmContext};

    use super::*;

    #[test]
    fn refused_path_is_told_without_the_names_of_the_program() {
        let algorithm = UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: vec![6, 8, 42],
            supported_algorithms: Vec::new(),
        };
        let text = |error| Distrust::Path(error).to_string();
        let refused = text(Error::UnsupportedSignatureAlgorithmContext(algorithm));
        assert!(refused.contains("STAGELINK_TLS_LIBRARY=native-tls"));
        assert!(!refused.contains('['), "{refused}");
        for error in [
            Error::NameConstraintViolation,
            Error::InvalidSignatureForPublicKey,
            Error::EndEntityUsedAsCa,
            Error::UnsupportedCertVersion,
            Error::BadDer,
        ] {
            let refused = text(error.clone());
            assert!(!refused.contains(&format!("{error:?}")), "{refused}");
            assert!(refused.contains("issue"), "{refused}");
        }
    }
}
