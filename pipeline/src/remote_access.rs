//! The access that local functions get to a stage's real database: proved to be the stage's own, and proved not
//! to write.

use std::fmt;
use std::time::Duration;

use stagelink::tokio_postgres::SimpleQueryMessage;
use stagelink::{
    Database, DatabaseInfo, DetachedClient, ProviderSettings, SecretString, Settings, StageMark,
};
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};
use crate::link::ensure_own_stage;
use crate::migrations::describe_driver_error;

/// A stage's real database, for functions that run elsewhere than on the stage. It is looked up anew each
/// time, so that a rotation changes what the functions get.
#[derive(Debug)]
pub struct RemoteDatabase {
    database: Database,
    is_guarded: bool,
    /// True if its credential is that of a config var of a Heroku app.
    is_at_heroku: bool,
}

/// The result of a look-up of a [`RemoteDatabase`].
#[derive(Debug)]
#[non_exhaustive]
pub struct RemoteAccess {
    /// The database, as the SDK found it.
    pub info: DatabaseInfo,
    /// The proof that the functions cannot write; `None` where a guarded access has none.
    pub proof: Option<ReadOnlyProof>,
    /// The URL for the functions, a secret: its sessions are read-only by default.
    pub url: SecretString,
}

/// The reason why nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadOnlyProof {
    /// The server is a follower, which takes no writes from anyone.
    Follower,
    /// The role, and every role that it may become, has no right to write to any table or sequence, or to create
    /// one.
    Role,
}

impl fmt::Display for ReadOnlyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "a follower, which takes no writes",
            Self::Role => "a role without a right to write",
        })
    }
}

impl RemoteDatabase {
    /// Makes the access to the database of these settings, without its pooler. Where it `is_guarded`, a credential that may
    /// write is let in: its sessions are read-only by default, which stops mistakes alone.
    pub fn new(settings: Settings, is_guarded: bool) -> Self {
        let settings = settings.without_pooler().with_app_names();
        let is_at_heroku = matches!(settings.provider, Some(ProviderSettings::Heroku(_)));
        Self {
            database: Database::new(Ok(settings)),
            is_guarded,
            is_at_heroku,
        }
    }

    /// Looks up the database, connects to it, and proves that it is the stage's own and that the credential cannot
    /// write.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when the database cannot be found or used; [`ErrorKind::Isolation`] when it is not
    /// marked as this stage's, or the credential may write and the access is not guarded;
    /// [`ErrorKind::Settings`] when the URL leads to a pooler.
    pub async fn look_up(&self) -> Result<RemoteAccess, Error> {
        let failed = |error| {
            let message = "could not connect to the stage's database";
            Error::with_source(ErrorKind::Database, message, error)
        };
        let (info, client) = self.database.inspect_and_connect().await.map_err(failed)?;
        ensure_own_stage(&info)?;
        let stage = info.stage;
        if info.mark == StageMark::None {
            return Err(Error::new(
                ErrorKind::Isolation,
                format!(
                    "the database has no stage mark, so nothing shows that it is that of stage {stage}: \
                     mark it with `stagelink mark set --stage {stage}`"
                ),
            ));
        }
        if info.is_pooled {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "the URL of stage {stage} leads to a pooler, which takes no read-only setting for a \
                     session: use the URL of the database itself"
                ),
            ));
        }
        let client = client.ok_or_else(|| {
            Error::new(
                ErrorKind::Database,
                "could not keep the connection to the stage's database",
            )
        })?;
        let found = examine(&client).await?;
        let proof = match found {
            Ok(proof) => Some(proof),
            Err(_) if self.is_guarded => None,
            Err(right) => {
                let way = match self.is_at_heroku {
                    true => {
                        "make one that only reads (`heroku pg:credentials:create DATABASE --name reader --app \
                         APP`, with SELECT granted to it), attach it (`heroku addons:attach DATABASE --credential \
                         reader --as READER --app APP`) and name it with `--config-var READER_URL`"
                    }
                    false => "set the variables of its provider to those of a role that only reads",
                };
                return Err(Error::new(
                    ErrorKind::Isolation,
                    format!(
                        "the credential of stage {stage}, {}, may write: its role {} {right}; {way}, or take \
                         this one with `--guarded`, which only stops mistakes",
                        info.origin, info.role
                    ),
                ));
            }
        };
        let url = info.credentials.url().with_read_only_sessions().to_secret();
        Ok(RemoteAccess { info, proof, url })
    }
}

/// Asks the server for a proof that the session's user cannot write; else returns the first right that it has.
async fn examine(client: &DetachedClient) -> Result<Result<ReadOnlyProof, String>, Error> {
    let answer = timeout(ANSWER, client.simple_query(RIGHTS)).await;
    let reason = match answer {
        Ok(Ok(messages)) => {
            let row = messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((row.get(0)?.to_owned(), row.get(1).map(str::to_owned)))
                }
                _ => None,
            });
            match row {
                Some((is_follower, _)) if is_follower == "t" => {
                    return Ok(Ok(ReadOnlyProof::Follower));
                }
                Some((_, None)) => return Ok(Ok(ReadOnlyProof::Role)),
                Some((_, Some(right))) => return Ok(Err(right)),
                None => "the server's answer has no row".to_owned(),
            }
        }
        Ok(Err(error)) => describe_driver_error(&error),
        Err(_) => "the server did not answer in time".to_owned(),
    };
    Err(Error::new(
        ErrorKind::Database,
        format!("could not look at the rights of the credential: {reason}"),
    ))
}

/// The first right to write that the session's user has, by itself or by a role that it may become (SET ROLE
/// needs no inheritance). Built-in roles count by what they may do: pg_write_all_data writes to each table.
/// Postgres's own tables are left out, since a superuser alone may change them.
const RIGHTS: &str = "\
    WITH roles AS ( \
        SELECT oid, rolname, rolsuper, rolcreatedb, rolcreaterole FROM pg_catalog.pg_roles \
        WHERE pg_catalog.pg_has_role(session_user, oid, 'MEMBER')), \
    own AS ( \
        SELECT c.oid, c.relkind, c.oid::pg_catalog.regclass::text AS name FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
          AND c.relkind IN ('r', 'p', 'v', 'f', 'm', 'S')), \
    rights AS ( \
        SELECT 1 AS place, 'is or may become the superuser ' || rolname AS what FROM roles WHERE rolsuper \
        UNION ALL SELECT 2, 'may become ' || rolname || ', which creates roles or databases' FROM roles \
            WHERE rolcreaterole OR rolcreatedb \
        UNION ALL SELECT 3, 'may become ' || rolname FROM roles WHERE rolname IN \
            ('pg_execute_server_program', 'pg_write_server_files', 'pg_maintain', 'pg_signal_backend') \
        UNION ALL SELECT 4, 'may write to ' || own.name FROM roles, own WHERE own.relkind <> 'S' AND \
            (pg_catalog.has_table_privilege(roles.oid, own.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER') \
             OR pg_catalog.has_any_column_privilege(roles.oid, own.oid, 'INSERT, UPDATE')) \
        UNION ALL SELECT 5, 'may change the sequence ' || own.name FROM roles, own WHERE own.relkind = 'S' AND \
            pg_catalog.has_sequence_privilege(roles.oid, own.oid, 'USAGE, UPDATE') \
        UNION ALL SELECT 6, 'may create in the schema ' || n.nspname FROM roles, pg_catalog.pg_namespace n \
            WHERE n.nspname !~ '^pg_(toast|temp)' AND pg_catalog.has_schema_privilege(roles.oid, n.oid, 'CREATE') \
        UNION ALL SELECT 7, 'may create schemas in the database' FROM roles WHERE \
            pg_catalog.has_database_privilege(roles.oid, pg_catalog.current_database(), 'CREATE')) \
    SELECT pg_catalog.pg_is_in_recovery(), \
        (SELECT what FROM rights ORDER BY place, what LIMIT 1)";

const ANSWER: Duration = Duration::from_secs(5);
