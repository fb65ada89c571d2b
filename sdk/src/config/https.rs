//! The TLS library, and the roots that providers' certificates lead to.

use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// The library that encrypts connections to databases and providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsLibrary {
    /// rustls with ring.
    #[default]
    Rustls,
    /// The platform's library, through `native-tls`: OpenSSL on Linux. It supports older servers
    /// and more kinds of keys, and starts more slowly.
    #[cfg(feature = "native-tls")]
    Native,
}

impl FromStr for TlsLibrary {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "rustls" => Ok(Self::Rustls),
            #[cfg(feature = "native-tls")]
            "native-tls" => Ok(Self::Native),
            #[cfg(not(feature = "native-tls"))]
            "native-tls" => Err(Error::new(
                ErrorKind::Settings,
                "STAGELINK_TLS_LIBRARY is native-tls, which this program is built without: enable \
                 the feature native-tls of the crate stagelink in Cargo.toml",
            )),
            _ => Err(Error::new(
                ErrorKind::Settings,
                "STAGELINK_TLS_LIBRARY is neither rustls nor native-tls",
            )),
        }
    }
}

/// The encryption of requests to a provider.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HttpsSettings {
    /// The library.
    pub library: TlsLibrary,
    /// Root certificates (PEM) beside those of public authorities, such as a company's own.
    pub roots: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_is_named_as_its_crate() {
        let parse = |text: &str| text.parse::<TlsLibrary>();
        assert_eq!(parse(" rustls ").unwrap(), TlsLibrary::Rustls);
        #[cfg(feature = "native-tls")]
        assert_eq!(parse("native-tls").unwrap(), TlsLibrary::Native);
        for unknown in ["openssl", "Rustls", "native"] {
            let error = parse(unknown).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Settings);
            assert!(error.to_string().contains("STAGELINK_TLS_LIBRARY"));
        }
    }
}
