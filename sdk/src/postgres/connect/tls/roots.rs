//! The trust anchors for a server's certificate.

use std::path::Path;

use crate::credentials::Roots;
use crate::error::{Error, ErrorKind};

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

    /// Reads the certificates with `parse`. Empty for the system's roots.
    pub(in crate::postgres) fn certificates<T, E>(
        &self,
        parse: impl Fn(&[u8]) -> Result<Vec<T>, E>,
    ) -> Result<Vec<T>, Error>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
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
        let pem = match self {
            Self::System => return Ok(Vec::new()),
            Self::File(path) => {
                std::fs::read(path).map_err(|error| refuse("could not read", error.into()))?
            }
            Self::Pem(pem) => pem.as_bytes().to_vec(),
        };
        let roots = parse(&pem).map_err(|error| refuse("could not parse", error.into()))?;
        if roots.is_empty() {
            return Err(refuse(
                "found no certificate among",
                "there is no PEM block".into(),
            ));
        }
        Ok(roots)
    }
}
