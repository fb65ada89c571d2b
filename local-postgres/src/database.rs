//! A database with a role of its own, as Heroku hands them out.

use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::Client;

use crate::password::Password;
use crate::{Error, ErrorKind};

/// A database with a role of the same name that owns it.
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

    /// The same with another password.
    pub(crate) fn with_password(&self, password: &Password) -> Self {
        Self {
            password: password.clone(),
            ..self.clone()
        }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The role that owns it; it has the same name.
    pub fn role(&self) -> &str {
        &self.name
    }

    pub(crate) fn password(&self) -> &str {
        self.password.reveal()
    }

    /// `postgres://role:password@host:port/name`, percent-encoded. Holds the password.
    pub fn url(&self) -> String {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let name = encoded(&self.name);
        let password = encoded(self.password.reveal());
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

/// Makes a database and its role, or sets the password of one that was made
/// before. Returns whether the database is new.
///
/// A role that this module makes carries a mark: without it, it is someone
/// else's and is left alone.
pub(crate) async fn create(
    client: &Client,
    name: &str,
    password: &Password,
) -> Result<bool, Error> {
    check_name(name)?;
    let failed = |error| failure("create", name).because(error);
    let role = escape_identifier(name);
    let attributes = format!(
        "login connection limit {CONNECTION_LIMIT} password {}",
        escape_literal(&password.verifier())
    );
    // Sent as one query, and so done as one transaction.
    let statements = match owner_mark(client, name).await.map_err(failed)? {
        Role::Missing => format!(
            "create role {role} {attributes}; comment on role {role} is {}",
            escape_literal(MARK)
        ),
        Role::Ours => format!("alter role {role} {attributes}"),
        Role::Foreign => return Err(foreign("create", name)),
    };
    client.batch_execute(&statements).await.map_err(failed)?;

    let owner = client
        .query_opt(
            "select pg_get_userbyid(datdba)::text from pg_database where datname = $1",
            &[&name],
        )
        .await
        .map_err(failed)?;
    match owner {
        Some(owner) if owner.get::<_, &str>(0) != name => Err(foreign("create", name)),
        Some(_) => Ok(false),
        None => {
            // A database cannot be created in a transaction. Were this to stop
            // halfway, the next call would find the role and go on from here.
            let create = format!("create database {role} owner {role}");
            let close = format!("revoke all on database {role} from public");
            client.batch_execute(&create).await.map_err(failed)?;
            client.batch_execute(&close).await.map_err(failed)?;
            Ok(true)
        }
    }
}

/// Removes a database that was made here, and its role. It is no error if there is none.
pub(crate) async fn remove(client: &Client, name: &str) -> Result<(), Error> {
    check_name(name)?;
    let failed = |error| failure("drop", name).because(error);
    let identifier = escape_identifier(name);
    match owner_mark(client, name).await.map_err(failed)? {
        Role::Missing => Ok(()),
        Role::Foreign => Err(foreign("drop", name)),
        Role::Ours => {
            for statement in [
                format!("drop database if exists {identifier} with (force)"),
                format!("drop role {identifier}"),
            ] {
                client.batch_execute(&statement).await.map_err(failed)?;
            }
            Ok(())
        }
    }
}

/// Keeps roles out of the databases that every cluster has.
pub(crate) async fn close_common(client: &Client) -> Result<(), tokio_postgres::Error> {
    client
        .batch_execute("revoke connect on database postgres, template1 from public")
        .await
}

/// Whose role one of a certain name is.
pub(crate) enum Role {
    Missing,
    Ours,
    Foreign,
}

pub(crate) async fn owner_mark(client: &Client, name: &str) -> Result<Role, tokio_postgres::Error> {
    let row = client
        .query_opt(
            "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = $1",
            &[&name],
        )
        .await?;
    Ok(match row.map(|row| row.get::<_, Option<String>>(0)) {
        None => Role::Missing,
        Some(Some(mark)) if mark == MARK => Role::Ours,
        Some(_) => Role::Foreign,
    })
}

fn check_name(name: &str) -> Result<(), Error> {
    let what = if name.is_empty() {
        "is empty"
    } else if name.len() > NAME_LIMIT_BYTES {
        "is longer than 63 bytes, all that Postgres has room for"
    } else if name.contains('\0') {
        "holds a zero byte"
    } else if name.starts_with("pg_") {
        "begins with pg_, which Postgres keeps for itself"
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Input,
        format!("could not use the database name {name:?}: it {what}"),
    ))
}

fn failure(verb: &str, name: &str) -> Error {
    Error::new(
        ErrorKind::Process,
        format!("could not {verb} the database {name} and its role"),
    )
}

pub(crate) fn foreign(verb: &str, name: &str) -> Error {
    Error::new(
        ErrorKind::Input,
        format!(
            "could not {verb} the database {name}: the server has a database or role of \
             this name that stagelink did not make; choose another name or remove it"
        ),
    )
}

/// The comment on a role that says who made it.
const MARK: &str = "made by stagelink-local";

/// Heroku's limit for a database of the plans Essential-0 and Essential-1 (2026-03).
const CONNECTION_LIMIT: u32 = 20;

/// Postgres' NAMEDATALEN, less its closing zero.
const NAME_LIMIT_BYTES: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_awkward_names_is_read_back_by_the_driver() {
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

    #[test]
    fn name_that_postgres_would_change_or_refuse_is_refused() {
        for name in ["", "a\0b", "pg_shop", &"x".repeat(64)] {
            assert_eq!(check_name(name).unwrap_err().kind(), ErrorKind::Input);
        }
        check_name(&"x".repeat(63)).unwrap();
    }
}
