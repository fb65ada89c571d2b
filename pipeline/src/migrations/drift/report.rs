//! The drift of a stage's database: its schema beside the one that migrations have left.

use std::time::Duration;

use serde::Serialize;
use stagelink::tokio_postgres::Client;
use stagelink::{Client as StageClient, Database};

use crate::error::{Error, ErrorKind};
use crate::migrations::bounded_read;
use crate::migrations::drift::difference::SchemaDifference;
use crate::migrations::drift::kept::{Kept, keep};
use crate::migrations::drift::snapshot::{SCHEMA_CHANGES, SchemaSnapshot};
use crate::migrations::history::History;
use crate::migrations::lock;
use crate::migrations::read_error::ReadError;

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
    /// An older or newer version of stagelink has kept the snapshot, in a format that this one does not
    /// compare. So nothing is known.
    OtherFormat {
        /// When it was kept.
        kept_at: String,
        /// True if a newer version has kept it, false if an older one.
        is_newer: bool,
    },
    /// A session holds the lock of migrations, or the schema changed all the while. So nothing is known.
    Changing,
    /// The differences of the database from the snapshot; without any, nothing has drifted.
    Compared {
        /// When the snapshot was kept.
        kept_at: String,
        /// When a person accepted the schema as it was, if one did: the snapshot has that beside the migrations.
        #[serde(skip_serializing_if = "Option::is_none")]
        accepted_at: Option<String>,
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
/// As [`drift`]; also when the schema changes all the while.
pub async fn read_schema(database: &Database) -> Result<SchemaSnapshot, Error> {
    let client = connect(database).await?;
    let schema = answered(SchemaSnapshot::read(&client)).await?;
    schema.ok_or_else(schema_changes)
}

/// Keeps the schema of a stage's database as it is, so that nothing of it is drift from now on.
///
/// # Errors
///
/// As [`read_schema`]; [`ErrorKind::Migration`] when the database has no history of migrations.
pub async fn accept_drift(database: &Database) -> Result<(), Error> {
    let client = connect(database).await?;
    let accept = async {
        let Some(history) = History::read(&client).await? else {
            return Ok(Err(Error::new(
                ErrorKind::Migration,
                "the database has no history of migrations, beside which its schema could be kept: run \
                 `stagelink migrate` first",
            )));
        };
        let Some(snapshot) = SchemaSnapshot::read(&client).await? else {
            return Ok(Err(schema_changes()));
        };
        let accepted_at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        keep(&client, &history, &snapshot, Some(accepted_at.to_string())).await?;
        Ok::<_, ReadError>(Ok(()))
    };
    answered(accept).await?
}

/// Compares as [`drift`], by a connection that the caller has.
///
/// # Errors
///
/// Those of [`History::read`].
pub(crate) async fn compare(client: &Client) -> Result<Drift, ReadError> {
    for _ in 0..MOST_COMPARISONS {
        // An index that is being built is in the catalog, and not yet in the history.
        if lock::holder(client).await?.is_some() {
            return Ok(Drift::Changing);
        }
        let (kept, history) = read_kept(client).await?;
        let kept = match (kept, history) {
            (Kept::Nothing, _) => return Ok(Drift::NotKept),
            (Kept::OtherFormat { kept_at, is_newer }, _) => {
                return Ok(Drift::OtherFormat { kept_at, is_newer });
            }
            (Kept::Snapshot(kept), Some(history)) if kept.is_of(&history) => kept,
            (Kept::Snapshot(kept), _) => {
                let kept_at = kept.kept_at;
                return Ok(Drift::Outdated { kept_at });
            }
        };
        let Some(now) = SchemaSnapshot::read(client).await? else {
            return Ok(Drift::Changing);
        };
        // A migration that ended meanwhile has left another snapshot, or will.
        let after = read_kept(client).await?;
        if let (Kept::Snapshot(kept_after), Some(history_after)) = after
            && kept_after == kept
            && kept.is_of(&history_after)
            && lock::holder(client).await?.is_none()
        {
            return Ok(Drift::Compared {
                kept_at: kept.kept_at,
                accepted_at: kept.accepted_at,
                differences: kept.snapshot.differences(&now),
            });
        }
    }
    Ok(Drift::Changing)
}

/// Reads the snapshot and the history as they are at one time. A history that is locked is not waited
/// for, since others would wait behind.
async fn read_kept(client: &Client) -> Result<(Kept, Option<History>), ReadError> {
    client.batch_execute(BEGIN).await?;
    let read = async { Ok((Kept::read(client).await?, History::read(client).await?)) };
    let read: Result<_, ReadError> = read.await;
    let ended = client.batch_execute("ROLLBACK").await;
    let read = read?;
    ended?;
    Ok(read)
}

fn schema_changes() -> Error {
    Error::new(ErrorKind::Database, format!("{WHAT}: {SCHEMA_CHANGES}"))
}

async fn connect(database: &Database) -> Result<StageClient, Error> {
    bounded_read::connect(database, WHAT).await
}

async fn answered<T, E: Into<ReadError>>(
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    bounded_read::answered_within(ANSWER, WHAT, step).await
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '2s'; \
     SET LOCAL statement_timeout = '20s'";

const WHAT: &str = "could not compare the schema of the database";

/// The largest number of comparisons, where migrations end meanwhile.
const MOST_COMPARISONS: usize = 3;

/// The longest time that the comparison takes.
const ANSWER: Duration = Duration::from_secs(60);
