//! The widening of a history, so that timestamps fit as numbers.

use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError};
use stagelink::{Database, Stage};
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};
use crate::migrations::drift::Baseline;
use crate::migrations::event::MigrationListener;
use crate::migrations::folder::MigrationFolder;
use crate::migrations::history::History;
use crate::migrations::lock;
use crate::migrations::options::MigrationOptions;
use crate::migrations::records;
use crate::migrations::run::keep_schema;
use crate::migrations::server_words::{describe, sqlstate};
use crate::migrations::session::{ANSWER, Session, milliseconds};
use crate::migrations::version_type::VersionType;

/// The result of widening a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WidenedHistory {
    /// The database has no history. Its first run makes one that fits the files.
    None,
    /// It takes large numbers already.
    WasWide,
    /// It takes large numbers from now on. The checksums of its migrations are those that refinery
    /// computes with the feature `int8-versions`, and refinery without it cannot read them.
    Widened,
}

/// Changes the column `version` of a stage's history to int8, and the checksums, which depend on its
/// width, with it, in the history and in the records of classes. A schema that was kept for comparisons goes on with the new history, and what
/// differs from it still does.
///
/// # Errors
///
/// Those of [`MigrationPlan::apply`](crate::MigrationPlan::apply).
pub async fn widen_history(
    database: &Database,
    folder: &MigrationFolder,
    options: &MigrationOptions,
    listener: &MigrationListener<'_>,
) -> Result<WidenedHistory, Error> {
    let session = Session::open(database).await?;
    lock::acquire(&session, options.wait, listener).await?;
    let what = "could not widen the history of migrations, which is as it was";
    let client = &session.client;
    let result = match session.answered(what, History::read(client)).await? {
        None => WidenedHistory::None,
        Some(history) if history.version_type == VersionType::Int8 => WidenedHistory::WasWide,
        Some(history) => {
            let known = Checksums::of(&history, folder);
            ensure_all_known(&history, &known, session.stage)?;
            let lock_timeout = milliseconds(options.lock_timeout);
            let baseline = timeout(ANSWER, Baseline::read(client, &history)).await;
            let widened = widen(client, &history, &known, lock_timeout);
            session.answered(what, widened).await?;
            commit(&session).await?;
            // The kept schema belongs to the checksums. Where it cannot be kept, `drift` says so.
            if let Some(baseline) = baseline.ok().filter(Baseline::is_known) {
                let _ = keep_schema(&session, baseline).await;
            }
            WidenedHistory::Widened
        }
    };
    lock::release(&session).await;
    Ok(result)
}

/// The applied migrations whose files are as they were applied: as columns, for one statement.
#[derive(Default)]
struct Checksums {
    versions: Vec<i64>,
    narrow: Vec<String>,
    wide: Vec<String>,
}

impl Checksums {
    fn of(history: &History, folder: &MigrationFolder) -> Self {
        let mut known = Self::default();
        for file in folder.files() {
            let narrow = file.checksum(VersionType::Int4).to_string();
            let mut rows = history.applied.iter();
            if rows.any(|row| row.version == file.version() && row.checksum == narrow) {
                known.versions.push(file.version());
                known.narrow.push(narrow);
                let wide = file.checksum(VersionType::Int8);
                known.wide.push(wide.to_string());
            }
        }
        known
    }
}

/// Makes sure that each applied migration has its file: without it the new checksum is not known.
fn ensure_all_known(history: &History, known: &Checksums, stage: Stage) -> Result<(), Error> {
    let mut rows = history.applied.iter();
    let unknown = rows.find(|row| !known.versions.contains(&row.version));
    match unknown {
        None => Ok(()),
        Some(row) => Err(Error::new(
            ErrorKind::Migration,
            format!(
                "the history of stage {stage} was not widened: {row} has no file, or one that was \
                 edited, so its new checksum is not known: see `stagelink migrate {stage} --plan`"
            ),
        )),
    }
}

async fn widen(
    client: &Client,
    history: &History,
    checksums: &Checksums,
    lock_timeout: u128,
) -> Result<(), DriverError> {
    let table = &history.table;
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = {lock_timeout}; \
         ALTER TABLE {table} ALTER COLUMN version TYPE pg_catalog.int8"
    );
    let update = format!(
        "UPDATE {table} AS history SET checksum = known.checksum FROM \
         ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS known (version, checksum) \
         WHERE known.version = history.version"
    );
    client.batch_execute(&begin).await?;
    let parameters = [
        (&checksums.versions as _, Type::INT8_ARRAY),
        (&checksums.wide as _, Type::TEXT_ARRAY),
    ];
    client.execute_typed(&update, &parameters).await?;
    let Checksums {
        versions,
        narrow,
        wide,
    } = checksums;
    records::replace_checksums(client, versions, narrow, wide).await
}

/// Commits. Where the connection is lost meanwhile, the server alone knows the outcome.
async fn commit(session: &Session) -> Result<(), Error> {
    let stage = session.stage;
    let in_doubt = |reason: &str| {
        Error::new(
            ErrorKind::Database,
            format!(
                "stage {stage}: the history of migrations may be widened or not, since {reason} \
                 during the commit: run the command again, which looks"
            ),
        )
    };
    match timeout(ANSWER, session.client.batch_execute("COMMIT")).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if sqlstate(&error).is_some() => Err(Error::new(
            ErrorKind::Database,
            format!(
                "stage {stage}: could not widen the history of migrations, which is as it was: {}",
                describe(&error)
            ),
        )),
        Ok(Err(_)) => Err(in_doubt("the connection was lost")),
        Err(_) => Err(in_doubt("the server did not answer")),
    }
}
