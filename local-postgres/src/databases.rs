//! What is done to databases while they are in use: other passwords, and how they are.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::Client;

use crate::admin::Admin;
use crate::database::{Database, Role, foreign, owner_mark};
use crate::password::Password;
use crate::server::version;
use crate::{Error, ErrorKind};

/// The way to the databases of a [`Server`](super::Server), for whoever looks after
/// them. It can be cloned, and does not keep the server running.
#[derive(Clone, Debug)]
pub struct Databases {
    admin: Admin,
}

/// What a server says of a database at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The open connections of its role.
    pub connections: u32,
    /// How many connections its role may hold; `None` where that is not limited.
    pub connection_limit: Option<u32>,
    /// The server's version, as in `17.6`.
    pub version: String,
    /// The size in bytes.
    pub size_bytes: u64,
    /// How many tables it has beside Postgres' own.
    pub tables: u64,
}

impl Databases {
    pub(crate) fn new(admin: Admin) -> Self {
        Self { admin }
    }

    /// Gives the role of a database another password and then cuts all of its
    /// connections, as Heroku does with a default credential. Returns the database
    /// as it is reached from now on.
    ///
    /// The password that `database` holds plays no part in it. Whoever logs in with
    /// the old one after the change is refused, and whoever did so before is cut; a
    /// login that is half done at this moment may come through.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if there is no such role, or if it was not made by
    /// [`Server::create_database`](super::Server::create_database);
    /// [`ErrorKind::Process`] if the server fails. The password may be another one
    /// by then, which nobody knows: rotate again.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped halfway leaves behind what a failure does.
    pub async fn rotate(&self, database: &Database) -> Result<Database, Error> {
        let role = database.role();
        let failed = || {
            Error::new(
                ErrorKind::Process,
                format!("could not rotate the password of the role {role}"),
            )
        };
        let client = self.connect(None, failed).await?;
        let mark = owner_mark(&client, role).await;
        match mark.map_err(|error| failed().because(error))? {
            Role::Ours => {}
            Role::Foreign => return Err(foreign("rotate the password of", role)),
            Role::Missing => {
                return Err(Error::new(
                    ErrorKind::Input,
                    format!(
                        "could not rotate the password of the role {role}: there is no such role"
                    ),
                ));
            }
        }
        let password = Password::random();
        change_password(&client, role, &password)
            .await
            .map_err(|error| {
                Error::new(
                    ErrorKind::Process,
                    format!(
                        "could not finish the rotation of the password of the role {role}: it \
                         may have changed already; rotate it once more"
                    ),
                )
                .because(error)
            })?;
        Ok(database.with_password(&password))
    }

    /// Asks the server how a database is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if the server fails or has no such database.
    pub async fn facts(&self, database: &Database) -> Result<Facts, Error> {
        let name = database.name();
        let failed = || {
            Error::new(
                ErrorKind::Process,
                format!("could not ask how the database {name} is"),
            )
        };
        // Its tables are seen from inside alone.
        let client = self.connect(Some(name), failed).await?;
        let row = client
            .query_one(FACTS, &[&database.role()])
            .await
            .map_err(|error| failed().because(error))?;
        let count = |column| u64::try_from(row.get::<_, i64>(column)).unwrap_or_default();
        Ok(Facts {
            connections: u32::try_from(count(0)).unwrap_or(u32::MAX),
            // -1 is what Postgres calls no limit.
            connection_limit: u32::try_from(row.get::<_, i32>(1)).ok(),
            size_bytes: count(2),
            tables: count(3),
            version: version(&client).await?,
        })
    }

    async fn connect(
        &self,
        database: Option<&str>,
        failed: impl Fn() -> Error,
    ) -> Result<Client, Error> {
        let admin = match database {
            Some(name) => &self.admin.with_database(name),
            None => &self.admin,
        };
        let connected = admin.try_connect().await;
        connected.map_err(|refusal| refusal.because_of(failed()))
    }
}

/// First the password, in a transaction of its own, then the connections: the other way
/// around, whoever is cut could come back with the old password in between.
async fn change_password(
    client: &Client,
    role: &str,
    password: &Password,
) -> Result<(), tokio_postgres::Error> {
    let change = format!(
        "alter role {} password {}",
        escape_identifier(role),
        escape_literal(&password.verifier())
    );
    client.batch_execute(&change).await?;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1";
    client.execute(cut, &[&role]).await?;
    Ok(())
}

const FACTS: &str = "
    select (select count(*) from pg_stat_activity where usename = rolname),
           rolconnlimit,
           pg_database_size(current_database()),
           (select count(*) from pg_tables
            where schemaname not in ('pg_catalog', 'information_schema'))
    from pg_roles where rolname = $1";
