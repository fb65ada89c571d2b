//! The URL of a Postgres database, with the parts that APIs return separately.

use std::fmt;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::{Error, ErrorKind};

/// A `postgres://` URL. It holds a password, so `Debug` shows host and port only.
#[derive(Clone)]
pub(crate) struct DatabaseUrl {
    url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
}

impl DatabaseUrl {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] unless the URL begins with `postgres://`, as Heroku's URLs do (its CLI
    /// accepts no other), and has user, password, host and database.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        if !url.starts_with("postgres://") {
            return Err(invalid("it must begin with postgres://"));
        }
        // The parser's error is dropped: it may quote the URL.
        let config: Config = url.parse().map_err(|_| invalid("it is not a valid url"))?;
        let host = match config.get_hosts() {
            [Host::Tcp(host)] => host.clone(),
            _ => return Err(invalid("it must have one host")),
        };
        let user = config.get_user().ok_or_else(|| invalid("it has no user"))?;
        let password = config
            .get_password()
            .and_then(|password| String::from_utf8(password.to_vec()).ok())
            .ok_or_else(|| invalid("it has no password"))?;
        let database = config
            .get_dbname()
            .ok_or_else(|| invalid("it has no database"))?;
        Ok(Self {
            url: url.to_owned(),
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            user: user.to_owned(),
            password,
            database: database.to_owned(),
        })
    }

    /// Returns the whole URL with its password.
    pub(crate) fn expose_secret(&self) -> &str {
        &self.url
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseUrl")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn invalid(reason: &str) -> Error {
    Error::new(
        ErrorKind::Input,
        format!("could not use the database url: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_with_escapes_is_parsed_into_its_parts() {
        let url =
            DatabaseUrl::parse("postgres://u%40x:p%2Fw%3A@127.0.0.1:6543/app?sslmode=require")
                .expect("a url");
        assert_eq!((url.user.as_str(), url.password.as_str()), ("u@x", "p/w:"));
        assert_eq!((url.host.as_str(), url.port), ("127.0.0.1", 6543));
        assert_eq!(url.database, "app");
    }

    #[test]
    fn invalid_url_is_refused_without_being_shown() {
        for url in [
            "postgresql://u:canary@h/d",
            "postgres://u@h/canary",
            "postgres://u:canary@h",
            "postgres://u:canary@h:port/d",
            "canary",
        ] {
            let error = DatabaseUrl::parse(url).expect_err("an error");
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }

    #[test]
    fn debug_of_url_shows_no_password() {
        let url = DatabaseUrl::parse("postgres://u:canary@h/d").expect("a url");
        assert!(!format!("{url:?}").contains("canary"));
    }
}
