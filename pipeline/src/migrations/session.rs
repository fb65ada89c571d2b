//! A session of the control plane's own, such as that of a run of migrations: straight to the
//! database, with settings by which the server notices that the client is gone.

use std::future::Future;
use std::time::Duration;

use stagelink::tokio_postgres::Error as DriverError;
use stagelink::tokio_postgres::types::Type;
use stagelink::{Database, DetachedClient, Stage};
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};
use crate::migrations::bounded_read::in_read_only;
use crate::migrations::read_error::ReadError;
use crate::migrations::server_words::sqlstate;

/// A session of its own on a stage's database.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: DetachedClient,
    pub(crate) stage: Stage,
    /// The number of its server process.
    pub(super) pid: i32,
    /// The server's version, as 150018.
    pub(super) version: i32,
    work: SessionWork,
}

/// The work of a session, by which it is named and its errors are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionWork {
    /// It applies migrations, and holds their lock.
    Migrations,
    /// It holds the lease on a stage.
    Lease,
    /// It records a deploy.
    DeployRecord,
}

impl SessionWork {
    /// Returns the name of the sessions, by which others know what holds a lock.
    fn application_name(self) -> &'static str {
        match self {
            Self::Migrations => "stagelink migrate",
            Self::Lease => "stagelink lease",
            Self::DeployRecord => "stagelink deploys",
        }
    }

    /// Returns the subject of a sentence about what the work needs.
    fn subject(self) -> &'static str {
        match self {
            Self::Migrations => "a migration",
            Self::Lease => "the lease on a stage",
            Self::DeployRecord => "the record of a deploy",
        }
    }

    /// Returns the end of a sentence about the database.
    fn purpose(self) -> &'static str {
        match self {
            Self::Migrations => "that is to be migrated",
            Self::Lease => "that keeps the lease on the stage",
            Self::DeployRecord => "that keeps the records of deploys",
        }
    }
}

impl Session {
    /// Opens a session for migrations.
    ///
    /// # Errors
    ///
    /// Those of [`open_for`](Self::open_for).
    pub(super) async fn open(database: &Database) -> Result<Self, Error> {
        Self::open_for(SessionWork::Migrations, database).await
    }

    /// Opens a session.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when the database cannot be reached, carries another stage's mark,
    /// or takes no writes; [`ErrorKind::Settings`] when the URL leads to a pooler.
    pub(crate) async fn open_for(work: SessionWork, database: &Database) -> Result<Self, Error> {
        let (subject, purpose) = (work.subject(), work.purpose());
        let unreachable = |error| {
            let message = format!("could not connect to the database {purpose}");
            Error::with_source(ErrorKind::Database, message, error)
        };
        let stage = database.stage().map_err(unreachable)?;
        let client = database.client().await.map_err(unreachable)?;
        if client.is_pooled() {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "the URL of stage {stage} leads to a pooler, whose sessions change with each \
                     transaction, and {subject} needs a session of its own: use the URL of the \
                     database itself, or set STAGELINK_POOLER=never if each client of the pooler \
                     has one"
                ),
            ));
        }
        let facts = client.query_typed(FACTS, &[]);
        let facts = answered(stage, "could not look at the session", facts).await?;
        let (pid, version, is_standby) = match facts.first() {
            Some(row) => (row.get(0), row.get(1), row.get::<_, bool>(2)),
            None => {
                return Err(Error::new(
                    ErrorKind::Database,
                    "the server did not describe the session",
                ));
            }
        };
        if is_standby {
            return Err(Error::new(
                ErrorKind::Database,
                format!(
                    "the database of stage {stage} is a follower, which takes no changes, and {subject} \
                     is one: use the URL of the database that it follows"
                ),
            ));
        }
        let session = Self {
            client: client.detach(),
            stage,
            pid,
            version,
            work,
        };
        session
            .answered("could not set up the session", session.reset(""))
            .await?;
        Ok(session)
    }

    /// Sets the session back to how it began, so that no file sees the settings of another, and
    /// names it after a file.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub(super) async fn reset(&self, file: &str) -> Result<(), DriverError> {
        self.client.batch_execute(RESET).await?;
        let base = self.work.application_name();
        let name = match file {
            "" => base.to_owned(),
            file => format!("{base}: {file}"),
        };
        let seconds = |seconds: u64| (seconds * 1000).to_string();
        self.set(&[
            ("application_name", &name),
            // Strings end where the judge of the statements saw their end.
            ("standard_conforming_strings", "on"),
            ("statement_timeout", "0"),
            ("transaction_timeout", "0"),
            // For the history; each file has its own.
            ("lock_timeout", &seconds(10)),
            ("idle_in_transaction_session_timeout", &seconds(30)),
            // A run that was stopped and not ended gives the lock back.
            ("idle_session_timeout", &seconds(300)),
            ("tcp_keepalives_idle", "15"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", &seconds(30)),
        ])
        .await?;
        // Not every platform of a server can look at a connection while a statement runs.
        match self
            .set(&[("client_connection_check_interval", "2000")])
            .await
        {
            Err(error) if sqlstate(&error).is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Sets parameters of the session. One that the server does not know is left out.
    async fn set(&self, parameters: &[(&str, &str)]) -> Result<(), DriverError> {
        let set = "SELECT pg_catalog.set_config(name, value, false) \
                   FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) \
                   AS parameters (name, value) \
                   WHERE pg_catalog.current_setting(name, true) IS NOT NULL";
        let (names, values): (Vec<&str>, Vec<&str>) = parameters.iter().copied().unzip();
        self.client
            .query_typed(
                set,
                &[(&names, Type::TEXT_ARRAY), (&values, Type::TEXT_ARRAY)],
            )
            .await
            .map(|_| ())
    }

    /// Returns whether the server limits whole transactions.
    pub(super) fn has_transaction_timeout(&self) -> bool {
        self.version >= 170_000
    }

    /// Waits for the server's answer to a step of the runner's own, which takes a moment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when the server refuses the step, or does not answer in time;
    /// [`ErrorKind::Migration`] when the history is not what a run can go on with.
    pub(crate) async fn answered<T, E: Into<ReadError>>(
        &self,
        what: &str,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        answered(self.stage, what, step).await
    }

    /// Reads in a transaction that can change nothing, and waits as [`answered`](Self::answered) does.
    ///
    /// # Errors
    ///
    /// Those of [`answered`](Self::answered).
    pub(super) async fn read_only<T, E: Into<ReadError>>(
        &self,
        what: &str,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        self.answered(what, in_read_only(&self.client, read)).await
    }
}

async fn answered<T, E: Into<ReadError>>(
    stage: Stage,
    what: &str,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    match timeout(ANSWER, step).await {
        Ok(answer) => answer.map_err(|error| failed(stage, what, &error.into())),
        Err(_) => Err(Error::new(
            ErrorKind::Database,
            format!(
                "stage {stage}: {what}: the server has not answered for {} s",
                ANSWER.as_secs()
            ),
        )),
    }
}

fn failed(stage: Stage, what: &str, error: &ReadError) -> Error {
    let kind = match error {
        ReadError::Driver(error) if sqlstate(error) == Some("55P03") => ErrorKind::Busy,
        ReadError::Driver(_) => ErrorKind::Database,
        ReadError::Unusable(_) => ErrorKind::Migration,
    };
    Error::new(kind, format!("stage {stage}: {what}: {error}"))
}

/// Returns a limit in milliseconds as Postgres takes it; 0 would be no limit.
pub(super) fn milliseconds(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}

/// The longest time that a step of the runner's own takes: the history's lock time-out, and more.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

const FACTS: &str = "SELECT pg_catalog.pg_backend_pid(), \
     pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
     pg_catalog.pg_is_in_recovery()";

const RESET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DISCARD TEMP; CLOSE ALL; UNLISTEN *; \
     DEALLOCATE ALL";
