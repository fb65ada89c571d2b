//! The drift of a stage's database: its schema beside the one that migrations have left.

use std::time::Duration;

use serde::Serialize;
use stagelink::tokio_postgres::{Client, Error as DriverError};
use stagelink::{Client as StageClient, Database};
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};
use crate::migrations::drift::difference::SchemaDifference;
use crate::migrations::drift::kept::{KeptSnapshot, keep};
use crate::migrations::drift::snapshot::SchemaSnapshot;
use crate::migrations::history::History;
use crate::migrations::server_words::describe;

/// The drift of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Drift {
    /// No run of migrations has kept a snapshot yet, so nothing is known.
    NotKept,
    /// Migrations were recorded since the snapshot was kept: by refinery, or by a run that was
    /// interrupted. So nothing is known.
    Outdated {
        /// When it was kept.
        kept_at: String,
    },
    /// The differences of the database from the snapshot; without any, nothing has drifted.
    Compared {
        /// When the snapshot was kept.
        kept_at: String,
        /// The differences, by kind and name.
        differences: Vec<SchemaDifference>,
    },
}

/// Compares the schema of a stage's database with the one that its last run of migrations kept.
/// Nothing is changed; a pooler or a follower is no obstacle.
///
/// # Errors
///
/// [`ErrorKind::Database`] when the database cannot be reached or carries another stage's mark, or a
/// table of a view is locked.
pub async fn drift(database: &Database) -> Result<Drift, Error> {
    let client = connect(database).await?;
    answered(compare(&client)).await
}

/// Reads the schema of a stage's database, to compare it with another stage's by
/// [`differences`](SchemaSnapshot::differences).
///
/// # Errors
///
/// As [`drift`].
pub async fn read_schema(database: &Database) -> Result<SchemaSnapshot, Error> {
    let client = connect(database).await?;
    answered(SchemaSnapshot::read(&client)).await
}

/// Keeps the schema of a stage's database as it is, so that nothing of it is drift from now on.
///
/// # Errors
///
/// As [`drift`]; [`ErrorKind::Migration`] when the database has no history of migrations.
pub async fn accept_drift(database: &Database) -> Result<(), Error> {
    let client = connect(database).await?;
    let accept = async {
        let Some(history) = History::read(&client).await? else {
            return Ok(false);
        };
        let snapshot = SchemaSnapshot::read(&client).await?;
        keep(&client, &history, &snapshot).await?;
        Ok(true)
    };
    match answered(accept).await? {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Migration,
            "the database has no history of migrations, beside which its schema could be kept: run \
             `stagelink migrate` first",
        )),
    }
}

/// Compares as [`drift`], by a connection that the caller has.
///
/// # Errors
///
/// Those of the driver.
pub(crate) async fn compare(client: &Client) -> Result<Drift, DriverError> {
    // A history that is locked is not waited for, since others would wait behind.
    client.batch_execute(BEGIN).await?;
    let read = async {
        Ok((
            KeptSnapshot::read(client).await?,
            History::read(client).await?,
        ))
    };
    let read: Result<_, DriverError> = read.await;
    let ended = client.batch_execute("ROLLBACK").await;
    let (kept, history) = read?;
    ended?;
    let Some(kept) = kept else {
        return Ok(Drift::NotKept);
    };
    let kept_at = kept.kept_at.clone();
    match history {
        Some(history) if kept.is_of(&history) => {
            let now = SchemaSnapshot::read(client).await?;
            Ok(Drift::Compared {
                kept_at,
                differences: kept.snapshot.differences(&now),
            })
        }
        _ => Ok(Drift::Outdated { kept_at }),
    }
}

async fn connect(database: &Database) -> Result<StageClient, Error> {
    let client = database.client().await;
    client.map_err(|error| Error::with_source(ErrorKind::Database, WHAT, error))
}

async fn answered<T>(step: impl Future<Output = Result<T, DriverError>>) -> Result<T, Error> {
    match timeout(ANSWER, step).await {
        Ok(answer) => answer.map_err(|error| {
            Error::new(ErrorKind::Database, format!("{WHAT}: {}", describe(&error)))
        }),
        Err(_) => Err(Error::new(
            ErrorKind::Database,
            format!("{WHAT}: the server has not answered for {ANSWER:?}"),
        )),
    }
}

const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL lock_timeout = '2s'; \
     SET LOCAL statement_timeout = '20s'";

const WHAT: &str = "could not compare the schema of the database";

/// The longest time that the comparison takes.
const ANSWER: Duration = Duration::from_secs(60);
