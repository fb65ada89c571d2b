//! The plan of a run: what a database has, and what would be applied to it.

use serde::Serialize;
use stagelink::{Database, Stage};

use crate::error::{Error, ErrorKind};
use crate::migrations::class::TargetFacts;
use crate::migrations::comparison::{HistoryProblem, advise_locally, compare, name_stage};
use crate::migrations::demands::Demands;
use crate::migrations::enforcement::{Admission, Enforcement};
use crate::migrations::file::MigrationFile;
use crate::migrations::folder::MigrationFolder;
use crate::migrations::history::History;
use crate::migrations::history_entry::HistoryEntry;
use crate::migrations::judged::{
    JudgedFile, PlannedDismissal, PlannedFinding, PlannedStatement, judge,
};
use crate::migrations::options::MigrationOptions;
use crate::migrations::overrides::Overrides;
use crate::migrations::records;
use crate::migrations::rule_override::RuleOverride;
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
    pub(super) judged: Vec<JudgedFile>,
    /// The facts by which they were judged.
    pub(super) facts: TargetFacts,
    pub(super) enforcement: Enforcement,
    pub(super) demands: Demands,
    pub(super) overrides: Overrides,
    pub(super) allowed: Vec<HistoryProblem>,
    /// The migrations that the database has, in the order of their numbers.
    history: Vec<HistoryEntry>,
    /// The number of files of the folder among them.
    applied: usize,
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
    /// The class by all rules, also those that are overridden: `before`, `after`, `stop` or `ask`.
    pub class: &'static str,
    /// The decision: `applies`, `waits` for a run after the deploy, `held back`, or `refused`, whatever it
    /// would be otherwise.
    pub admission: &'static str,
    /// The reason for which the file is held back.
    pub held_back: Option<&'a str>,
    /// The reasons for which the file may not be applied; with any, the run applies nothing.
    pub refusals: &'a [String],
    /// The decision of a deployed stage with these tables about a file that a local stage applies:
    /// `applies`, `waits`, `held back` or `refused`. `None` where the run is that of a deployed stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_deployed_stage: Option<&'static str>,
    /// The reason for which a deployed stage holds the file back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_back_on_deployed_stage: Option<&'a str>,
    /// The reasons for which a deployed stage refuses the file.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub refusals_on_deployed_stage: &'a [String],
    /// The statements in their order, each with its class and locks.
    pub statements: &'a [PlannedStatement],
    /// The rules that give the class; none for `before`.
    pub findings: &'a [PlannedFinding],
    /// The rules that do not hold on this database, with the reasons.
    pub dismissed: &'a [PlannedDismissal],
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
            .read_only(what, History::read(&session.client))
            .await?;
        let (applied, width) = match &history {
            Some(history) => (&*history.applied, history.version_type),
            None => (
                &[][..],
                VersionType::of(folder.files().iter().map(MigrationFile::version)),
            ),
        };
        let stage = session.stage;
        let records = session.read_only(what, records::read(&session.client));
        let records = records.await?;
        let waiting = records.iter().flat_map(|record| &record.waiting);
        let waiting = waiting.copied().collect();
        let found = compare(folder.files(), applied, &waiting, width, &options.allowed);
        let mut problems: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
        let mut pending = Vec::new();
        for file in found.pending {
            match Script::read(file) {
                Ok(script) => pending.push((file.clone(), script)),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            if options.is_local {
                problems = problems.iter().map(|one| advise_locally(one)).collect();
            }
            return Err(disagreement(stage, problems));
        }
        let (mut facts, mut demands) = (TargetFacts::default(), Demands::None);
        if !pending.is_empty() {
            let what = "could not look at the tables that are to be migrated";
            let client = &session.client;
            facts = session.read_only(what, TargetFacts::ask(client)).await?;
            let asked = Demands::ask(client, options.enforcement, !applied.is_empty());
            demands = session.read_only(what, asked).await?;
        }
        let files: Vec<_> = pending
            .iter()
            .map(|(file, script)| (file, script))
            .collect();
        let given = &options.overrides;
        let (all, code) = (folder.files(), options.running_code.as_ref());
        let overrides = Overrides::resolve(given, &files, all, &facts, demands, &records, code);
        let judged = judge(&files, &facts, &overrides.in_files, demands, code);
        Ok(Self {
            stage,
            judged,
            facts,
            enforcement: options.enforcement,
            demands,
            overrides,
            files: folder.files().to_vec(),
            pending,
            history: HistoryEntry::all(applied, &records),
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

    /// Returns the migrations that the database has, in the order of their numbers, with the class of
    /// each that was recorded as it was applied.
    pub fn history(&self) -> &[HistoryEntry] {
        &self.history
    }

    /// Returns the migrations to apply, in their order.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = PlannedMigration<'_>> {
        let pending = self.pending.iter().zip(&self.judged);
        pending.map(|((file, script), judged)| PlannedMigration {
            version: file.version(),
            name: file.name(),
            file: file.path(),
            in_transaction: script.has_transaction(),
            class: judged.class.name(),
            admission: decision(&judged.admission, &judged.refusals),
            held_back: judged.admission.held_back(),
            refusals: &judged.refusals,
            on_deployed_stage: judged
                .deployed
                .as_ref()
                .map(|one| decision(&one.admission, &one.refusals)),
            held_back_on_deployed_stage: judged
                .deployed
                .as_ref()
                .and_then(|one| one.admission.held_back()),
            refusals_on_deployed_stage: match &judged.deployed {
                Some(deployed) => &deployed.refusals,
                None => &[],
            },
            statements: &judged.statements,
            findings: &judged.findings,
            dismissed: &judged.dismissed,
            locks: &judged.locks,
            notes: &judged.notes,
            sql: file.sql(),
        })
    }

    /// Returns the migrations that a run of this plan applies, where it refuses none.
    pub fn applying(&self) -> impl Iterator<Item = PlannedMigration<'_>> {
        self.admitted_as(Admission::Applies)
    }

    /// Returns the migrations that wait for a run after the deploy.
    pub fn waiting(&self) -> impl Iterator<Item = PlannedMigration<'_>> {
        self.admitted_as(Admission::Waits)
    }

    fn admitted_as(&self, admission: Admission) -> impl Iterator<Item = PlannedMigration<'_>> {
        let judged = self.pending().zip(&self.judged);
        let admitted = judged.filter(move |(_, judged)| judged.admission == admission);
        admitted.map(|(migration, _)| migration)
    }

    /// Makes sure that no pending file is refused for its class or its locks, and no override for what
    /// it names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`] with the reasons, and the safe form of each statement.
    pub fn ensure_admitted(&self) -> Result<(), Error> {
        let of_files: Vec<_> = self.judged.iter().flat_map(|file| &file.refusals).collect();
        let of_overrides = &self.overrides.refusals;
        let stage = self.stage;
        let headline = match (of_overrides.is_empty(), of_files.is_empty()) {
            (true, true) => return Ok(()),
            (false, true) => format!(
                "an override does not fit the pending migrations of stage {stage}, so nothing was applied"
            ),
            (_, false) => format!(
                "the database of stage {stage} cannot take the migrations as they are, so nothing was \
                 applied"
            ),
        };
        let details = of_overrides.iter().chain(of_files).cloned().collect();
        Err(Error::new(ErrorKind::Migration, headline).with_details(details))
    }

    /// Makes sure that no pending file is held back by one before it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`] with the reason.
    pub fn ensure_none_is_held_back(&self) -> Result<(), Error> {
        let mut files = self.pending.iter().zip(&self.judged);
        let held_back = files.find_map(|((file, _), judged)| match &judged.admission {
            Admission::HeldBack(because) => Some((file, because)),
            _ => None,
        });
        match held_back {
            None => Ok(()),
            Some((file, because)) => Err(Error::new(
                ErrorKind::Migration,
                format!(
                    "stage {}: {} is held back: {because}",
                    self.stage,
                    file.path()
                ),
            )),
        }
    }

    /// Returns the overrides that no pending file needs, since the file is applied already, or the
    /// run refuses no file of the rule.
    pub fn unused_overrides(&self) -> impl Iterator<Item = &RuleOverride> {
        self.overrides.unused.iter()
    }

    /// Returns what is wrong with overrides, such as one of a rule that several files need. With any,
    /// the run applies nothing.
    pub fn override_refusals(&self) -> &[String] {
        &self.overrides.refusals
    }

    /// Returns whether the database has no table and no history, so that no code uses it and files
    /// of each class are applied.
    pub fn is_of_empty_database(&self) -> bool {
        self.demands == Demands::OfEmptyDatabase
    }

    /// Returns the disagreements of folder and history that are passed over on purpose.
    pub fn allowed(&self) -> &[HistoryProblem] {
        &self.allowed
    }
}

/// Returns the name of the decision about a file: what refuses it stops the run, whatever else holds.
fn decision(admission: &Admission, refusals: &[String]) -> &'static str {
    match refusals.is_empty() {
        true => admission.name(),
        false => "refused",
    }
}

/// Returns the error of files that stop a run before it begins.
pub(super) fn disagreement(stage: Stage, problems: Vec<String>) -> Error {
    let name = stage.to_string();
    let problems = problems.iter().map(|problem| name_stage(problem, &name));
    Error::new(
        ErrorKind::Migration,
        format!("the migrations do not fit the database of stage {stage}, so nothing was applied"),
    )
    .with_details(problems.collect())
}
