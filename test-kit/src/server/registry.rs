//! The registry of a server: which databases its tests have, kept in a database of its own.
//!
//! All processes that test on the server share it. An advisory lock says that a process is at work
//! on something; the server releases it when the process's session ends, however the process does.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use stagelink_local_postgres::tokio_postgres::error::SqlState;
use stagelink_local_postgres::tokio_postgres::{self, Client, Row};
use stagelink_local_postgres::{self as local_postgres, SharedServer};
use tokio::time::{Instant, sleep};

use super::wait::{Goal, Wait};
use crate::error::Error;

/// The registry, and a session of this process with it.
pub(super) struct Registry {
    server: Arc<SharedServer>,
    session: Client,
    /// The end of a statement that creates a database from a template.
    strategy: &'static str,
    /// The number of tests at a time, on the whole server.
    pub(super) slots: i32,
}

/// The classes of advisory locks: the first of their two numbers.
#[derive(Clone, Copy)]
pub(super) enum Lock {
    /// The set-up of the registry, and the restoration of a template's role.
    SetUp = 0x5374_6700,
    /// A template: shared by the processes that use it, exclusive while it is made or dropped.
    Template = 0x5374_6701,
    /// A clone that is being made or used.
    Clone = 0x5374_6702,
    /// A place among the processes that make clones ahead.
    Maker = 0x5374_6703,
    /// A place among the tests that run.
    Slot = 0x5374_6704,
}

impl Registry {
    /// Opens a session with the registry of a server, and makes the registry where it is missing. Waits
    /// while the server has no connection left.
    pub(super) async fn open(server: Arc<SharedServer>, is_given: bool) -> Result<Self, Error> {
        let session = open_session(&server).await?;
        let facts = session.query_one(FACTS, &[]).await.map_err(failed)?;
        if !facts.get::<_, bool>(2) {
            set_up(&session).await?;
        }
        let (version, is_durable): (i32, bool) = (facts.get(0), facts.get(1));
        Ok(Self {
            server,
            session,
            strategy: match (version, is_durable) {
                // The copy by the log came with version 15.
                (..150_000, _) => "",
                // A copy of the files waits for two checkpoints, which cost little where the server
                // does not wait for the disk, and more than the copy by the log elsewhere.
                (_, false) => " STRATEGY file_copy",
                (_, true) => " STRATEGY wal_log",
            },
            slots: match is_given {
                // A test has a connection or two. The others are left to other programs.
                true => (facts.get::<_, i32>(3) / 5).clamp(1, MOST_SLOTS),
                false => MOST_SLOTS,
            },
        })
    }

    /// Returns the end of a statement that creates a database from a template.
    pub(super) fn strategy(&self) -> &'static str {
        self.strategy
    }

    /// Opens another session of the superuser with the registry, for statements that take long.
    pub(super) async fn another_session(&self) -> Result<Client, Error> {
        let open = open_session(&self.server);
        Wait::new().until(Goal::Connection, open).await
    }

    /// Returns whether the server has ended the session, and its locks with it.
    pub(super) fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    /// Opens a session of a role.
    pub(super) async fn session_of(
        &self,
        database: &str,
        role: &str,
        password: &str,
    ) -> Result<Client, Error> {
        let connect = || self.server.connect(database, role, password);
        Wait::new()
            .until(Goal::Connection, while_full(connect))
            .await
    }

    /// Runs a statement by this process's session.
    pub(super) async fn query(
        &self,
        sql: &str,
        params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.session.query(sql, params).await.map_err(failed)
    }

    /// Runs statements without a result by this process's session.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), Error> {
        self.session.batch_execute(sql).await.map_err(failed)
    }

    /// Ends the sessions of a database, and waits until they have ended.
    pub(super) async fn end_sessions(&self, database: &str) -> Result<(), Error> {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        let deadline = Instant::now() + END_LIMIT;
        while !self.query(end, &[&database]).await?.is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// Opens a session with the database of the registry, and creates the database where it is missing.
async fn open_session(server: &SharedServer) -> Result<Client, Error> {
    let opened = while_full(|| server.connect_as_superuser(DATABASE)).await;
    let error = match opened {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    if code(&error) != Some(SqlState::INVALID_CATALOG_NAME) {
        return Err(error);
    }
    let client = while_full(|| server.connect_as_superuser("postgres")).await?;
    let create = format!("CREATE DATABASE {DATABASE}");
    if let Err(error) = client.batch_execute(&create).await
        && ![
            // Another process was faster.
            Some(&SqlState::DUPLICATE_DATABASE),
            Some(&SqlState::UNIQUE_VIOLATION),
        ]
        .contains(&error.code())
    {
        return Err(failed(error));
    }
    while_full(|| server.connect_as_superuser(DATABASE)).await
}

/// Creates the tables, unless another process does.
async fn set_up(session: &Client) -> Result<(), Error> {
    let lock = Lock::SetUp as i32;
    let statements = format!("BEGIN; SELECT pg_advisory_xact_lock({lock}, 0); {TABLES}; COMMIT");
    session.batch_execute(&statements).await.map_err(failed)
}

/// Connects, and tries again while the server has no connection left.
async fn while_full<F>(connect: impl Fn() -> F) -> Result<Client, Error>
where
    F: Future<Output = Result<Client, local_postgres::Error>>,
{
    loop {
        let error = match connect().await {
            Ok(client) => return Ok(client),
            Err(error) => Error::with_source("the tests have no session", error),
        };
        if code(&error) != Some(SqlState::TOO_MANY_CONNECTIONS) {
            return Err(error);
        }
        sleep(Duration::from_millis(fastrand::u64(20..100))).await;
    }
}

/// Returns the server's code among the causes of an error.
fn code(error: &Error) -> Option<SqlState> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<tokio_postgres::Error>() {
            return error.code().cloned();
        }
        cause = error.source();
    }
    None
}

/// The error of a statement on the registry.
pub(super) fn failed(error: tokio_postgres::Error) -> Error {
    Error::with_source("a statement on the server of the tests failed", error)
}

/// The database of the registry. The number stands for the form of its tables.
const DATABASE: &str = "stagelink_test_1";

const FACTS: &str = "
    SELECT current_setting('server_version_num')::int,
           current_setting('fsync')::bool,
           EXISTS (
               SELECT FROM pg_attribute
               WHERE attrelid = to_regclass('public.template') AND attname = 'verifier'
           ) AND to_regclass('public.clone') IS NOT NULL,
           current_setting('max_connections')::int";

/// A clone is `making`, then `ready`, then `used`.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS public.template (
        name text PRIMARY KEY,
        password text NOT NULL,
        used_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE IF NOT EXISTS public.clone (
        name text PRIMARY KEY,
        template text NOT NULL,
        state text NOT NULL,
        made_at timestamptz NOT NULL DEFAULT now()
    );
    -- Columns that came later than the first registries of this form: what the server keeps of the
    -- password, and what the migrations have set for the role.
    ALTER TABLE public.template ADD COLUMN IF NOT EXISTS verifier text,
        ADD COLUMN IF NOT EXISTS settings text[];
    UPDATE public.template SET verifier = rolpassword, settings = (
        SELECT setconfig FROM pg_db_role_setting WHERE setrole = role.oid AND setdatabase = 0
    ) FROM pg_authid AS role WHERE role.rolname = name AND verifier IS NULL;
    REVOKE CONNECT ON DATABASE stagelink_test_1 FROM public";

/// The greatest number of tests at a time, and that on a shared server, which takes 200 connections.
pub(super) const MOST_SLOTS: i32 = 32;

/// The longest wait for the end of sessions that were told to end.
const END_LIMIT: Duration = Duration::from_secs(5);
