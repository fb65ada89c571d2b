//! The plan of a run: what a database has, and what would be applied to it.

use serde::Serialize;
use stagelink::{Database, Stage};

use crate::error::{Error, ErrorKind};
use crate::migrations::class::TargetFacts;
use crate::migrations::comparison::{HistoryProblem, compare};
use crate::migrations::file::MigrationFile;
use crate::migrations::folder::MigrationFolder;
use crate::migrations::history::History;
use crate::migrations::judged::{JudgedFile, PlannedFinding, judge};
use crate::migrations::options::MigrationOptions;
use crate::migrations::script::Script;
use crate::migrations::session::Session;
use crate::migrations::version_type::VersionType;

/// The plan of a run on one database. It was made without a change to the database.
#[derive(Clone, Debug)]
pub struct MigrationPlan {
    pub(super) stage: Stage,
    pub(super) files: Vec<MigrationFile>,
    pub(super) pending: Vec<(MigrationFile, Script)>,
    /// The judgements of the pending files, in their order.
    judged: Vec<JudgedFile>,
    applied: usize,
    allowed: Vec<HistoryProblem>,
}

/// A migration that a plan applies.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedMigration<'a> {
    /// The number.
    pub version: i64,
    /// The name, without number.
    pub name: &'a str,
    /// The file's path within the folder.
    pub file: &'a str,
    /// True if it runs in a transaction, so that a failure leaves nothing of it.
    pub in_transaction: bool,
    /// The class: `before`, `after`, `stop` or `ask`.
    pub class: &'static str,
    /// The rules that give the class; none for `before`.
    pub findings: &'a [PlannedFinding],
    /// The locks for which other sessions wait, on tables that exist, as `SHARE on public.a, about 5
    /// rows` with the planner's estimate.
    pub locks: &'a [String],
    /// The remarks on the file: that it has statements of before and of after, with the split; the
    /// comments that silence squawk elsewhere.
    pub notes: &'a [String],
    /// The SQL.
    pub sql: &'a str,
}

impl MigrationPlan {
    /// Makes the plan for a stage's database. It changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when the database cannot be reached, and [`ErrorKind::Migration`]
    /// when folder and history do not agree, or a pending file cannot run. The message names all
    /// such files, each with what to do.
    pub async fn make(
        database: &Database,
        folder: &MigrationFolder,
        options: &MigrationOptions,
    ) -> Result<Self, Error> {
        let session = Session::open(database).await?;
        let what = "could not read the history of migrations";
        let history = session
            .answered(what, History::read(&session.client))
            .await?;
        let (applied, width) = match &history {
            Some(history) => (&*history.applied, history.version_type),
            None => (
                &[][..],
                VersionType::of(folder.files().iter().map(MigrationFile::version)),
            ),
        };
        let stage = session.stage;
        let found = compare(folder.files(), applied, width, &options.allowed);
        let mut problems: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
        let mut pending = Vec::new();
        for file in found.pending {
            match Script::read(file) {
                Ok(script) => pending.push((file.clone(), script)),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(disagreement(stage, problems));
        }
        let what = "could not look at the tables that are to be migrated";
        let facts = session.answered(what, TargetFacts::ask(&session.client));
        let judged = match pending.is_empty() {
            true => Vec::new(),
            false => {
                judge(&pending, &facts.await?).map_err(|problems| disagreement(stage, problems))?
            }
        };
        Ok(Self {
            stage,
            judged,
            files: folder.files().to_vec(),
            pending,
            applied: found.applied.len(),
            allowed: found.allowed,
        })
    }

    /// Returns the stage whose database it is for.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns the number of files that the database has already.
    pub fn applied(&self) -> usize {
        self.applied
    }

    /// Returns the migrations to apply, in their order.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = PlannedMigration<'_>> {
        let pending = self.pending.iter().zip(&self.judged);
        pending.map(|((file, script), judged)| PlannedMigration {
            version: file.version(),
            name: file.name(),
            file: file.path(),
            in_transaction: script.has_transaction(),
            class: judged.class,
            findings: &judged.findings,
            locks: &judged.locks,
            notes: &judged.notes,
            sql: file.sql(),
        })
    }

    /// Returns the disagreements of folder and history that are passed over on purpose.
    pub fn allowed(&self) -> &[HistoryProblem] {
        &self.allowed
    }
}

/// Returns the error of files that stop a run before it begins.
pub(super) fn disagreement(stage: Stage, problems: Vec<String>) -> Error {
    Error::new(
        ErrorKind::Migration,
        format!("the migrations do not fit the database of stage {stage}, so nothing was applied"),
    )
    .with_details(problems)
}
