//! The state of a database's migrations beside a folder, read without a change and without a lock.

use stagelink::Database;
use stagelink::tokio_postgres::Client;

use crate::error::Error;
use crate::migrations::bounded_read;
use crate::migrations::comparison::{Disagreement, compare, name_stage};
use crate::migrations::folder::MigrationFolder;
use crate::migrations::history::{AppliedMigration, History};
use crate::migrations::history_entry::HistoryEntry;
use crate::migrations::read_error::ReadError;
use crate::migrations::records::{self, MigrationRecord};
use crate::migrations::script::Script;
use crate::migrations::version_type::VersionType;

/// The migrations that a database has, and how they compare with a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MigrationState {
    /// The applied migrations, as `V1__name`, in the order of their numbers.
    pub(crate) applied: Vec<String>,
    /// These migrations, each with what was recorded as it was applied.
    pub(crate) history: Vec<HistoryEntry>,
    /// When the newest of them was applied.
    pub(crate) newest_applied_on: Option<String>,
    /// The files that are not applied, as `V1__name`.
    pub(crate) pending: Vec<String>,
    /// The applied migrations that the folder does not have.
    pub(crate) unknown: Vec<String>,
    /// The records of the applied migrations: class, overridden rules, who applied them. A migration
    /// that refinery applied has none.
    pub(crate) records: Vec<MigrationRecord>,
    /// Other disagreements, and the pending files that cannot run, each with what to do.
    pub(crate) problems: Vec<String>,
}

impl MigrationState {
    /// Reads the history of a database, through a pooler too, and compares it with a folder, where
    /// there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`](crate::ErrorKind::Database) when the database cannot be used or carries another stage's mark, or
    /// the history cannot be read.
    pub(crate) async fn read(
        database: &Database,
        folder: Option<&MigrationFolder>,
    ) -> Result<Self, Error> {
        let what = "could not read the history of migrations";
        let client = bounded_read::connect(database, what).await?;
        let read = bounded_read::read_only(&client, what, Self::read_by(&client, folder));
        let mut state = read.await?;
        if let Ok(stage) = database.stage() {
            let named = |problem: &String| name_stage(problem, stage.as_str());
            state.problems = state.problems.iter().map(named).collect();
        }
        Ok(state)
    }

    /// Reads the history by a connection that the caller has.
    ///
    /// # Errors
    ///
    /// Those of [`History::read`] and [`records::read`].
    pub(crate) async fn read_by(
        client: &Client,
        folder: Option<&MigrationFolder>,
    ) -> Result<Self, ReadError> {
        let history = History::read(client).await?;
        let records = records::read(client).await?;
        let (applied, width) = match &history {
            Some(history) => (&*history.applied, history.version_type),
            None => (&[][..], VersionType::Int8),
        };
        Ok(Self::of(applied, records, width, folder))
    }

    fn of(
        applied: &[AppliedMigration],
        records: Vec<MigrationRecord>,
        width: VersionType,
        folder: Option<&MigrationFolder>,
    ) -> Self {
        let mut state = Self {
            applied: applied.iter().map(ToString::to_string).collect(),
            history: HistoryEntry::all(applied, &records),
            newest_applied_on: applied
                .last()
                .map(|row| row.applied_on.clone())
                .filter(|time| !time.is_empty()),
            records,
            ..Self::default()
        };
        let Some(folder) = folder else {
            return state;
        };
        let waiting = state.records.iter().flat_map(|one| &one.waiting);
        let waiting = waiting.copied().collect();
        let found = compare(folder.files(), applied, &waiting, width, &[]);
        state.pending = found.pending.iter().map(ToString::to_string).collect();
        for file in &found.pending {
            let unusable = Script::read(file).err().into_iter().flatten();
            state.problems.extend(unusable);
        }
        for problem in found.problems {
            match problem.disagreement {
                Some(Disagreement::Missing) => state.unknown.push(problem.migration),
                _ => state.problems.push(problem.to_string()),
            }
        }
        state
    }
}
