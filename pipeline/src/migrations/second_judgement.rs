//! The second judgement of a plan's files: under the lock, by what the database has by then.
//!
//! Between the plan and its run an operator answers a question, or the run waits for another one. The
//! judgement that the operator saw may no longer hold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::error::{Error, ErrorKind};
use crate::migrations::changed_facts::{changes, created, is_locked};
use crate::migrations::class::TargetFacts;
use crate::migrations::comparison::{Comparison, Disagreement, HistoryProblem, compare};
use crate::migrations::demands::Demands;
use crate::migrations::enforcement::Admission;
use crate::migrations::file::MigrationFile;
use crate::migrations::history::History;
use crate::migrations::judged::{JudgedFile, judge};
use crate::migrations::options::MigrationOptions;
use crate::migrations::plan::{MigrationPlan, disagreement};
use crate::migrations::records::{self, RecordFacts};
use crate::migrations::script::Script;
use crate::migrations::session::Session;
use crate::migrations::version_type::VersionType;

/// The files of a plan that a run is still to apply, by their numbers, with what is recorded of each.
pub(super) type StillPending = BTreeMap<i64, RecordFacts>;

/// A file of the plan with its judgement.
type Planned<'a> = (&'a MigrationFile, &'a Script, &'a JudgedFile);

impl MigrationPlan {
    /// Compares the history again, and judges again the files that no other run has applied since.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`] when the history no longer fits the plan, or the judgement of a file
    /// has become stricter; [`ErrorKind::Busy`] when it has since a table is locked, so that its size
    /// cannot be asked. Nothing was changed then.
    pub(super) async fn judge_again(
        &self,
        session: &Session,
        history: Option<&History>,
        options: &MigrationOptions,
    ) -> Result<StillPending, Error> {
        let what = "could not read the records of migrations";
        let records = session.answered(what, records::read(&session.client));
        let records = records.await?.into_iter();
        let waiting = records.flat_map(|record| record.waiting).collect();
        let (applied, width) = match history {
            Some(history) => (&*history.applied, history.version_type),
            None => (
                &[][..],
                VersionType::of(self.files.iter().map(MigrationFile::version)),
            ),
        };
        let found = compare(&self.files, applied, &waiting, width, &options.allowed);
        self.ensure_fits(&found)?;
        let planned = self.pending.iter().zip(&self.judged);
        let planned: Vec<Planned<'_>> = planned
            .map(|((file, script), judged)| (file, script, judged))
            .filter(|(file, ..)| found.pending.contains(file))
            .collect();
        let applies = |one: &Planned<'_>| one.2.admission == Admission::Applies;
        if !planned.iter().any(applies) {
            return Ok(StillPending::new());
        }
        let begun = Instant::now();
        loop {
            let (facts, demands) = self.ask_again(session, !applied.is_empty()).await?;
            let files: Vec<_> = planned.iter().map(|one| (one.0, one.1)).collect();
            let code = options.running_code.as_ref();
            let judged = judge(&files, &facts, &self.overrides.in_files, demands, code);
            let pairs = planned.iter().zip(&judged);
            let stricter: Vec<_> = pairs
                .filter(|(planned, now)| is_stricter(planned.2, now, demands))
                .collect();
            if stricter.is_empty() {
                return Ok(records_of(&planned, judged));
            }
            let waits = stricter
                .iter()
                .any(|(_, now)| is_locked(&self.facts, &facts, &now.objects));
            if waits && begun.elapsed() < options.wait.min(LOCKED) {
                sleep(Duration::from_millis(300)).await;
                continue;
            }
            let mut details = Vec::new();
            if demands != self.demands {
                details.push(not_empty(&self.facts, &facts));
            }
            for ((file, _, planned), now) in stricter {
                let since = changes(&self.facts, &facts, &now.objects);
                details.push(change(file, planned, now, &since));
                details.extend(now.refusals.iter().cloned());
            }
            return Err(self.outdated(waits, details));
        }
    }

    /// Makes sure that the history differs from the plan's only by files of the plan that another run
    /// has applied.
    fn ensure_fits(&self, found: &Comparison<'_>) -> Result<(), Error> {
        let is_planned = |name: &str| {
            let mut planned = self.pending.iter();
            planned.any(|(file, _)| file.to_string() == name)
        };
        let describe = |problem: &HistoryProblem| match problem.disagreement {
            Some(Disagreement::Edited) if is_planned(&problem.migration) => format!(
                "another run has applied {name} since the plan was made, with another text than \
                     the file of {name} here: {problem}",
                name = problem.migration
            ),
            _ => problem.to_string(),
        };
        let mut problems: Vec<_> = found.problems.iter().map(describe).collect();
        // What was passed over on purpose was shown in the plan.
        let is_shown = |problem: &&HistoryProblem| {
            let mut shown = self.allowed.iter();
            shown.any(|one| {
                (one.disagreement, &one.migration) == (problem.disagreement, &problem.migration)
            })
        };
        problems.extend(
            found
                .allowed
                .iter()
                .filter(|one| !is_shown(one))
                .map(|one| {
                    format!(
                        "{}; the plan did not show it: make the plan again",
                        describe(one)
                    )
                }),
        );
        for file in &found.pending {
            if !is_planned(&file.to_string()) {
                problems.push(format!(
                    "{file} was applied when the plan was made, and is not any more: make the plan \
                     again"
                ));
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(disagreement(self.stage, problems)),
        }
    }

    /// Asks for the facts, and for the demands, which never become weaker than those of the plan.
    async fn ask_again(
        &self,
        session: &Session,
        has_history: bool,
    ) -> Result<(TargetFacts, Demands), Error> {
        let what = "could not look at the tables that are to be migrated";
        let client = &session.client;
        let facts = session.read_only(what, TargetFacts::ask(client)).await?;
        let demands = match self.demands {
            Demands::OfEmptyDatabase => {
                let asked = Demands::ask(client, self.enforcement, has_history);
                session.read_only(what, asked).await?
            }
            demands => demands,
        };
        Ok((facts, demands))
    }

    fn outdated(&self, is_locked: bool, details: Vec<String>) -> Error {
        let stage = self.stage;
        let error = match is_locked {
            true => Error::new(
                ErrorKind::Busy,
                format!(
                    "the plan for the database of stage {stage} could not be judged again, so \
                     nothing was applied: run the command again when the table is free"
                ),
            ),
            false => Error::new(
                ErrorKind::Migration,
                format!(
                    "the plan for the database of stage {stage} is outdated, so nothing was \
                     applied: run the command again to see the plan as it is now"
                ),
            ),
        };
        error.with_details(details)
    }
}

/// Returns whether the second judgement of a file is stricter than that of the plan. A file that waits
/// is not applied by this run, whatever its judgement.
fn is_stricter(planned: &JudgedFile, now: &JudgedFile, demands: Demands) -> bool {
    if planned.admission != Admission::Applies {
        return false;
    }
    let is_of_classes = matches!(demands, Demands::OfClasses(_));
    now.admission != Admission::Applies
        || !now.refusals.is_empty()
        || (is_of_classes && now.class > planned.class)
}

/// Returns what is recorded of each file: its second judgement, and the files that this run leaves.
fn records_of(planned: &[Planned<'_>], judged: Vec<JudgedFile>) -> StillPending {
    let mut waiting = Vec::new();
    let mut still_pending = StillPending::new();
    for ((file, _, planned), now) in planned.iter().zip(judged) {
        if planned.admission == Admission::Waits {
            waiting.push(file.version());
        }
        let record = RecordFacts {
            waiting: waiting.clone(),
            ..now.record
        };
        still_pending.insert(file.version(), record);
    }
    still_pending
}

fn not_empty(before: &TargetFacts, now: &TargetFacts) -> String {
    let created: Vec<_> = created(before, now).into_iter().take(3).collect();
    let created: Vec<_> = created.into_iter().map(ToString::to_string).collect();
    let because = match created.is_empty() {
        true => String::new(),
        false => format!(": it has {}", created.join(", ")),
    };
    format!(
        "the database was empty when the plan was made, so that files of each class were to be \
         applied, and is not any more{because}"
    )
}

/// Returns a sentence about a file whose judgement has become stricter.
fn change(
    file: &MigrationFile,
    planned: &JudgedFile,
    now: &JudgedFile,
    since: &[String],
) -> String {
    let path = file.path();
    let decision = match &now.admission {
        Admission::Waits if now.refusals.is_empty() => {
            Some("waits for a run with --after".to_owned())
        }
        Admission::HeldBack(because) if now.refusals.is_empty() => {
            Some(format!("is held back ({because})"))
        }
        Admission::HeldBack(because) => Some(format!("is held back ({because}), and refused")),
        Admission::Applies if now.refusals.is_empty() => None,
        Admission::Waits | Admission::Applies => Some("is refused".to_owned()),
    };
    let (was, is) = (planned.class, now.class);
    let mut text = match decision {
        Some(decision) if was == is => {
            format!("{path} ({is}) was to be applied when it was planned; now it {decision}")
        }
        Some(decision) => {
            format!("{path} was {was} when it was planned; now it is {is}, and {decision}")
        }
        None => format!("{path} was {was} when it was planned; now it is {is}"),
    };
    if !since.is_empty() {
        text.push_str(", since ");
        text.push_str(&since.join(" and "));
    }
    text
}

/// The longest wait for a table that another session has locked for a moment.
const LOCKED: Duration = Duration::from_secs(5);
