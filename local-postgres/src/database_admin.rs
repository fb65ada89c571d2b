//! Administration of databases in use: password rotation and statistics.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::Client;

use crate::connector::Connector;
use crate::password::Password;
use crate::provision::{RoleOwner, foreign_role_error, role_owner};
use crate::read_only;
use crate::{Database, Error, ErrorKind};

/// Administers the databases of a [`Server`](crate::Server), as a database
/// provider does. It can be cloned, and does not keep the server running.
#[derive(Clone, Debug)]
pub struct DatabaseAdmin {
    connector: Connector,
}

/// Statistics of one database, from [`DatabaseAdmin::stats`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseStats {
    /// Open connections of the database's role.
    pub connections: u32,
    /// Maximum number of connections of the role; `None` if unlimited.
    pub connection_limit: Option<u32>,
    /// The server's version, such as `17.6`.
    pub version: String,
    /// Size of the database in bytes.
    pub size_bytes: u64,
    /// Number of tables, without the system catalogs.
    pub tables: u64,
}

impl DatabaseAdmin {
    pub(crate) fn new(connector: Connector) -> Self {
        Self { connector }
    }

    /// Gives the database's role a random password, then terminates all of its
    /// connections, as Heroku does when it rotates a default credential.
    /// Returns the database with the new password.
    ///
    /// The password inside `database` is not used. After the change the server
    /// refuses the old password; a login that is in progress during the change
    /// may still succeed.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Input`]: the role does not exist, or was not created by
    ///   [`Server::create_database`](crate::Server::create_database).
    /// - [`ErrorKind::Process`]: the server failed. The password may have
    ///   changed to an unknown one: rotate it again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the same state as [`ErrorKind::Process`].
    pub async fn rotate_password(&self, database: &Database) -> Result<Database, Error> {
        let role = database.role();
        let failure = format!("could not rotate the password of the role {role}");
        let connected = self.connector.connect().await;
        let client = connected.map_err(|error| error.into_error(&failure))?;
        let owner = role_owner(&client, role)
            .await
            .map_err(|error| Error::new(ErrorKind::Process, &failure).with_source(error))?;
        match owner {
            RoleOwner::Ours => {}
            RoleOwner::Foreign => {
                return Err(foreign_role_error("rotate the password of the role", role));
            }
            RoleOwner::Missing => {
                let message = format!("{failure}: the role does not exist");
                return Err(Error::new(ErrorKind::Input, message));
            }
        }
        let password = Password::random();
        change_password(&client, role, &password)
            .await
            .map_err(|error| {
                let message = format!(
                    "could not finish the rotation of the password of the role {role}: the \
                     password may have changed already; rotate it again"
                );
                Error::new(ErrorKind::Process, message).with_source(error)
            })?;
        Ok(database.with_password(&password))
    }

    /// Connects to a database as the role that owns it, at the server's own address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if the server cannot be reached or refuses the login, as when the role
    /// has all of its connections.
    pub async fn connect(&self, database: &Database) -> Result<Client, Error> {
        let connected = self.connector.with_owner(database).connect().await;
        connected.map_err(|error| {
            let name = database.name();
            error.into_error(format!("could not log in to the database {name}"))
        })
    }

    /// Makes the transactions of a database read-only by default, or writable again, and terminates
    /// the sessions of its role, so that each new one has the setting. The setting outlasts a restart;
    /// [`Server::create_database`](crate::Server::create_database) resets it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if the server fails or has no such database.
    pub async fn set_read_only(
        &self,
        database: &Database,
        is_read_only: bool,
    ) -> Result<(), Error> {
        let name = database.name();
        let failure = format!("could not change whether the database {name} is read-only");
        let connected = self.connector.connect().await;
        let client = connected.map_err(|error| error.into_error(&failure))?;
        let failed = |error| Error::new(ErrorKind::Process, &failure).with_source(error);
        let change = read_only::change(name, is_read_only);
        client.batch_execute(&change).await.map_err(failed)?;
        terminate_sessions(&client, database.role())
            .await
            .map_err(failed)
    }

    /// Reads the current statistics of a database from its server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if the server fails or has no such database.
    pub async fn stats(&self, database: &Database) -> Result<DatabaseStats, Error> {
        let name = database.name();
        let failure = format!("could not read the statistics of the database {name}");
        // A session sees the tables of its own database alone.
        let connected = self.connector.with_database(name).connect().await;
        let client = connected.map_err(|error| error.into_error(&failure))?;
        let row = client
            .query_one(STATS, &[&database.role()])
            .await
            .map_err(|error| Error::new(ErrorKind::Process, &failure).with_source(error))?;
        let count = |column| u64::try_from(row.get::<_, i64>(column)).unwrap_or_default();
        Ok(DatabaseStats {
            connections: u32::try_from(count(0)).unwrap_or(u32::MAX),
            // -1 means no limit in Postgres.
            connection_limit: u32::try_from(row.get::<_, i32>(1)).ok(),
            size_bytes: count(2),
            tables: count(3),
            version: server_version(&client).await?,
        })
    }
}

/// Reads the server's version without a packager's suffix, such as `15.18`.
pub(crate) async fn server_version(client: &Client) -> Result<String, Error> {
    let row = client
        .query_one("select current_setting('server_version')", &[])
        .await
        .map_err(|error| {
            let message = "could not read the version of the Postgres server";
            Error::new(ErrorKind::Process, message).with_source(error)
        })?;
    let version: &str = row.get(0);
    Ok(version.split(' ').next().unwrap_or(version).to_owned())
}

/// Changes the password, commits, then terminates the connections. In the other
/// order a disconnected client could reconnect with the old password.
async fn change_password(
    client: &Client,
    role: &str,
    password: &Password,
) -> Result<(), tokio_postgres::Error> {
    let change = format!(
        "alter role {} password {}",
        escape_identifier(role),
        escape_literal(&password.scram_verifier())
    );
    client.batch_execute(&change).await?;
    terminate_sessions(client, role).await
}

async fn terminate_sessions(client: &Client, role: &str) -> Result<(), tokio_postgres::Error> {
    let terminate = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1";
    client.execute(terminate, &[&role]).await?;
    Ok(())
}

const STATS: &str = "
    select (select count(*) from pg_stat_activity where usename = rolname),
           rolconnlimit,
           pg_database_size(current_database()),
           (select count(*) from pg_tables
            where schemaname not in ('pg_catalog', 'information_schema'))
    from pg_roles where rolname = $1";
