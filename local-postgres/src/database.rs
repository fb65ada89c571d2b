//! A database with a role of its own that owns it.

use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::password::Password;

/// A database and the role of the same name that owns it, with the role's password.
#[derive(Clone)]
pub struct Database {
    name: String,
    password: Password,
    host: String,
    port: u16,
}

impl Database {
    pub(crate) fn new(name: &str, password: &Password, host: &str, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            password: password.clone(),
            host: host.to_owned(),
            port,
        }
    }

    /// Returns this database with another password.
    pub(crate) fn with_password(&self, password: &Password) -> Self {
        Self {
            password: password.clone(),
            ..self.clone()
        }
    }

    /// Returns this database at another address, such as that of a proxy in front of its server.
    #[must_use]
    pub fn at(&self, host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            ..self.clone()
        }
    }

    /// Returns the database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the role that owns the database, which is also the
    /// database's name.
    pub fn role(&self) -> &str {
        &self.name
    }

    /// Returns the host of its address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port of its address.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn password(&self) -> &str {
        self.password.expose()
    }

    /// Returns the URL `postgres://role:password@host:port/name`,
    /// percent-encoded. It holds the password.
    pub fn url(&self) -> String {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let name = encoded(&self.name);
        let password = encoded(self.password.expose());
        let (host, port) = (&self.host, self.port);
        if host.contains(':') {
            format!("postgres://{name}:{password}@[{host}]:{port}/{name}")
        } else {
            format!("postgres://{name}:{password}@{host}:{port}/{name}")
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, host, port, ..
        } = self;
        write!(f, "postgres://{name}:_@{host}:{port}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_awkward_names_is_parsed_by_the_driver() {
        for host in ["127.0.0.1", "::1", "localhost"] {
            let database = Database::new("é/a:b", &Password::new("p@ss/w?r#d %:"), host, 6543);
            let config: tokio_postgres::Config = database.url().parse().unwrap();
            assert_eq!(config.get_user(), Some("é/a:b"));
            assert_eq!(config.get_dbname(), Some("é/a:b"));
            assert_eq!(config.get_password(), Some("p@ss/w?r#d %:".as_bytes()));
            assert_eq!(config.get_ports(), [6543]);
        }
    }

    #[test]
    fn database_debug_hides_the_password() {
        let database = Database::new("shop", &Password::new("canary"), "127.0.0.1", 5432);
        assert_eq!(
            format!("{database:?}"),
            "postgres://shop:_@127.0.0.1:5432/shop"
        );
    }
}
