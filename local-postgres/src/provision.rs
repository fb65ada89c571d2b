//! Creates and drops databases with their roles, by SQL of the superuser.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::Client;

use crate::password::Password;
use crate::read_only;
use crate::{Error, ErrorKind};

/// Creates a database and its role, or sets the password of a role that this
/// function created before. Returns whether the database is new.
///
/// A role that this function creates carries a mark. A role without the mark
/// belongs to another program and stays unchanged.
pub(crate) async fn create_database(
    client: &Client,
    name: &str,
    password: &Password,
) -> Result<bool, Error> {
    check_name(name)?;
    let failed = |error| sql_error("create", name).with_source(error);
    let role = escape_identifier(name);
    let attributes = format!(
        "login connection limit {CONNECTION_LIMIT} password {}",
        escape_literal(&password.scram_verifier())
    );
    // One simple query, so that the server runs it as one transaction.
    let statements = match role_owner(client, name).await.map_err(failed)? {
        RoleOwner::Missing => format!(
            "create role {role} {attributes}; comment on role {role} is {}",
            escape_literal(MARK)
        ),
        RoleOwner::Ours => format!("alter role {role} {attributes}"),
        RoleOwner::Foreign => return Err(foreign_role_error("create the database", name)),
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
        Some(owner) if owner.get::<_, &str>(0) != name => {
            Err(foreign_role_error("create the database", name))
        }
        Some(_) => {
            // A program that was killed may have left it read-only.
            let reset = read_only::change(name, false);
            client.batch_execute(&reset).await.map_err(failed)?;
            Ok(false)
        }
        None => {
            // A database cannot be created in a transaction. If this stops halfway, the next
            // call finds the role and continues here.
            let create = format!("create database {role} owner {role}");
            let revoke = format!("revoke all on database {role} from public");
            client.batch_execute(&create).await.map_err(failed)?;
            client.batch_execute(&revoke).await.map_err(failed)?;
            Ok(true)
        }
    }
}

/// Drops a database that [`create_database`] created, and its role. A database
/// that does not exist is not an error.
pub(crate) async fn drop_database(client: &Client, name: &str) -> Result<(), Error> {
    check_name(name)?;
    let failed = |error| sql_error("drop", name).with_source(error);
    let identifier = escape_identifier(name);
    match role_owner(client, name).await.map_err(failed)? {
        RoleOwner::Missing => Ok(()),
        RoleOwner::Foreign => Err(foreign_role_error("drop the database", name)),
        RoleOwner::Ours => {
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

/// Revokes the right of all roles to connect to the databases that initdb creates.
pub(crate) async fn revoke_public_connect(client: &Client) -> Result<(), Error> {
    client
        .batch_execute("revoke connect on database postgres, template1 from public")
        .await
        .map_err(|error| {
            let message = "could not revoke the right of all roles to connect to the databases \
                           postgres and template1";
            Error::new(ErrorKind::Process, message).with_source(error)
        })
}

/// The creator of a role: this crate, or another program.
pub(crate) enum RoleOwner {
    Missing,
    Ours,
    Foreign,
}

/// Looks up whether a role exists, and whether [`create_database`] created it.
pub(crate) async fn role_owner(
    client: &Client,
    name: &str,
) -> Result<RoleOwner, tokio_postgres::Error> {
    let row = client
        .query_opt(
            "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = $1",
            &[&name],
        )
        .await?;
    Ok(match row.map(|row| row.get::<_, Option<String>>(0)) {
        None => RoleOwner::Missing,
        Some(Some(mark)) if mark == MARK => RoleOwner::Ours,
        Some(_) => RoleOwner::Foreign,
    })
}

/// Returns the error of a role or database that another program created.
pub(crate) fn foreign_role_error(action: &str, name: &str) -> Error {
    Error::new(
        ErrorKind::Input,
        format!(
            "could not {action} {name}: the server has a database or role of this name that \
             stagelink did not create; choose another name or drop it"
        ),
    )
}

fn check_name(name: &str) -> Result<(), Error> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_LIMIT_BYTES {
        "it is longer than 63 bytes, the limit of Postgres"
    } else if name.contains('\0') {
        "it holds a zero byte"
    } else if name.starts_with("pg_") {
        "it starts with pg_, which Postgres reserves"
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Input,
        format!("could not use the database name {name:?}: {problem}"),
    ))
}

fn sql_error(verb: &str, name: &str) -> Error {
    Error::new(
        ErrorKind::Process,
        format!("could not {verb} the database {name} and its role"),
    )
}

/// Comment on the roles that this crate creates. It stays the same from version
/// to version, because kept databases carry it.
const MARK: &str = "made by stagelink-local";

/// Heroku's limit for a database of the plans Essential-0 and Essential-1 (2026-03).
const CONNECTION_LIMIT: u32 = 20;

/// Postgres' NAMEDATALEN without the closing zero.
const NAME_LIMIT_BYTES: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_postgres_would_change_or_refuse_is_refused() {
        for name in ["", "a\0b", "pg_shop", &"x".repeat(64)] {
            assert_eq!(check_name(name).unwrap_err().kind(), ErrorKind::Input);
        }
        check_name(&"x".repeat(63)).unwrap();
    }
}
