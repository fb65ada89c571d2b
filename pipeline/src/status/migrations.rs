//! The migrations of a stage's database, beside those of the project.

use serde::{Deserialize, Serialize};
use stagelink::Database;

use crate::error::Error;
use crate::migrations::{HistoryEntry, MigrationFolder, MigrationState, advise_locally};
use crate::status::lookup::Lookup;
use crate::status::pending_after::PendingAfter;

/// The migrations that a database has, and how they compare with the project's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MigrationStatus {
    /// The applied migrations, as `V1__name`, in the order of their numbers.
    pub applied: Vec<String>,
    /// These migrations, each with the class that was recorded as it was applied.
    #[serde(default)]
    pub history: Vec<HistoryEntry>,
    /// When the newest of them was applied, in the format of RFC 3339.
    pub newest_applied_on: Option<String>,
    /// The files of the folder that are not applied.
    pub pending: Lookup<Vec<String>>,
    /// Those of them that are of *after*, where the code of the stage is known by its records.
    #[serde(default = "not_looked_up")]
    pub after: Lookup<Vec<PendingAfter>>,
    /// The applied migrations that the folder does not have.
    pub unknown: Vec<String>,
    /// The rules that a person has overridden as a migration was applied, with the reasons.
    pub overridden: Vec<OverriddenRule>,
    /// Other disagreements of folder and database, such as a file that was edited after it was
    /// applied, each with what to do.
    pub problems: Vec<String>,
}

/// A rule that a person has overridden as a migration was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OverriddenRule {
    /// The migration, as `V1__name`.
    pub migration: String,
    /// The rule's name.
    pub rule: String,
    /// The reason that was given.
    pub reason: String,
    /// The person or job that applied it, as `user@host`; empty where that was not known.
    pub applied_by: String,
}

/// Returns the look-up that a status of an older version lacks.
fn not_looked_up() -> Lookup<Vec<PendingAfter>> {
    Lookup::absent("an older version of stagelink made the status")
}

/// Reads the history of a stage's database, and compares it with the folder of the project. The files of
/// *after* are left to [`pending_after`](super::pending_after).
pub(super) async fn read(
    database: &Database,
    folder: &Result<Option<MigrationFolder>, String>,
    is_local: bool,
) -> Result<MigrationStatus, Error> {
    let known = folder.as_ref().ok().and_then(Option::as_ref);
    let state = MigrationState::read(database, known).await?;
    let overridden = state.records.iter().flat_map(|record| {
        record.overridden.iter().map(|of| OverriddenRule {
            migration: format!("V{}__{}", record.version, record.name),
            rule: of.rule.clone(),
            reason: of.reason.clone(),
            applied_by: record.applied_by.clone(),
        })
    });
    Ok(MigrationStatus {
        after: Lookup::absent("the folder of migrations is not known"),
        overridden: overridden.collect(),
        applied: state.applied,
        history: state.history,
        newest_applied_on: state.newest_applied_on,
        pending: match folder {
            Ok(Some(_)) => Lookup::known(state.pending),
            Ok(None) => Lookup::absent("the project has no folder of migrations"),
            Err(reason) => Lookup::not_known(reason),
        },
        unknown: state.unknown,
        problems: match is_local {
            true => state
                .problems
                .iter()
                .map(|one| advise_locally(one))
                .collect(),
            false => state.problems,
        },
    })
}
