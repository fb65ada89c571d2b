//! The trust anchors for a server's certificate.

use std::borrow::Cow;
use std::path::Path;

use rustls::pki_types::CertificateDer;

use crate::credentials::Roots;
use crate::error::{Error, ErrorKind};
use crate::tls::roots;

/// A source of root certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::postgres) enum Authority<'a> {
    System,
    File(&'a Path),
    /// Certificates from the settings, as PEM.
    Pem(&'a str),
}

/// The root that a certificate has to lead to, and the name that it has to be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::postgres) struct Anchors<'a> {
    pub(in crate::postgres) authority: Authority<'a>,
    /// `None` accepts any name.
    pub(in crate::postgres) host: Option<&'a str>,
}

impl<'a> Authority<'a> {
    pub(in crate::postgres) fn new(roots: &'a Roots, settings: Option<&'a str>) -> Self {
        match (roots, settings) {
            (Roots::File(path), _) => Self::File(path),
            (Roots::Default, Some(pem)) => Self::Pem(pem),
            (Roots::Default | Roots::System, _) => Self::System,
        }
    }

    /// Reads the certificates.
    ///
    /// # Errors
    ///
    /// When the given ones cannot be read, or are none.
    pub(in crate::postgres) fn roots(
        &self,
    ) -> Result<Cow<'static, [CertificateDer<'static>]>, Error> {
        let refuse = |what: &str, source: Box<dyn std::error::Error + Send + Sync>| match self {
            Self::File(path) => Error::with_source(
                ErrorKind::DatabaseUrl,
                format!(
                    "{what} the root certificates in {} (sslrootcert)",
                    path.display()
                ),
                source,
            ),
            _ => Error::with_source(
                ErrorKind::Settings,
                format!("{what} the root certificates in STAGELINK_ROOT_CERTIFICATES"),
                source,
            ),
        };
        let given = match self {
            Self::System => {
                let system = roots::system();
                let system = system.map_err(|error| Error::new(ErrorKind::Settings, error))?;
                return Ok(Cow::Borrowed(system));
            }
            Self::File(path) => {
                let pem =
                    std::fs::read(path).map_err(|error| refuse("could not read", error.into()))?;
                roots::from_pem(&pem)
            }
            Self::Pem(pem) => roots::from_pem(pem.as_bytes()),
        };
        let given = given.map_err(|error| refuse("could not parse", error.into()))?;
        if given.is_empty() {
            return Err(refuse(
                "found no certificate among",
                "there is no PEM block".into(),
            ));
        }
        Ok(Cow::Owned(given))
    }
}
