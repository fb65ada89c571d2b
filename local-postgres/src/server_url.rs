//! The URL of a running Postgres server.

use std::fmt;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::{Error, ErrorKind};

/// The URL of a running server, with the password of its superuser.
///
/// The server must offer TLS and SCRAM-SHA-256 with channel binding, which
/// authenticates it without a verified certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    config: Box<Config>,
    host: String,
    port: u16,
}

impl ServerUrl {
    /// Returns the host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port; 5432 if the URL has none.
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
    /// [`ErrorKind::Input`] if the text is not the URL of one server, with a host
    /// to reach over TCP, a user and a password.
    fn from_str(text: &str) -> Result<Self, Error> {
        let unusable = |what: &str| {
            Error::new(
                ErrorKind::Input,
                format!(
                    "the URL of the Postgres server {what}; the form is \
                     postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                ),
            )
        };
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(unusable("does not start with postgres://"));
        }
        let config: Config = text
            .parse()
            .map_err(|error| unusable("could not be parsed").with_source(error))?;
        if config.get_user().is_none() || config.get_password().is_none() {
            return Err(unusable("has no user or no password"));
        }
        let [Host::Tcp(host)] = config.get_hosts() else {
            return Err(unusable("does not name exactly one TCP host"));
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
        let url: ServerUrl = "postgres://root:canary-pw@db.example/x".parse().unwrap();
        assert_eq!(format!("{url:?}"), "postgres://root:_@db.example:5432");
    }
}
