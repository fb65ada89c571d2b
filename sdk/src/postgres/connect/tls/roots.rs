//! Whom to trust for a server's certificate.

use std::path::Path;

use crate::credentials::Roots;
use crate::error::{Error, ErrorKind};

/// Who may vouch for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::postgres) enum Authority<'a> {
    System,
    File(&'a Path),
    /// Those of the settings, as PEM.
    Pem(&'a str),
}

/// A certificate has to lead to one of these, and to be for this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::postgres) struct Anchors<'a> {
    pub(in crate::postgres) authority: Authority<'a>,
    /// `None` takes a certificate for any name.
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

    /// The certificates that `parse` finds; none for the system's.
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
        let roots = parse(&pem).map_err(|error| refuse("could not understand", error.into()))?;
        if roots.is_empty() {
            return Err(refuse(
                "found no certificate among",
                "there is no PEM block".into(),
            ));
        }
        Ok(roots)
    }
}
