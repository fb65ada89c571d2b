//! The plan and the result of `stagelink migrate`, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use stagelink::{DatabaseInfo, one_line};
use stagelink_pipeline::{
    HistoryEntry, HistoryProblem, MigrationPlan, MigrationReport, PlannedMigration,
};

use super::history;
use super::progress::{AppliedFile, RunProgress};
use crate::failure::Failure;
use crate::wrap::wrapped;

/// The plan for a database, and what was applied of it.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    stage: String,
    database: &'a str,
    server: &'a str,
    /// The source of the credentials.
    credentials: &'a str,
    /// The number of files that the database had before.
    applied_before: usize,
    /// The migrations that the database had before, each with its recorded class.
    history: &'a [HistoryEntry],
    /// True if the database has no table, so that files of each class are applied.
    is_empty_database: bool,
    pending: Vec<PlannedMigration<'a>>,
    /// True if the run applies nothing, since a pending file or an override is refused.
    is_refused: bool,
    /// The reasons for which overrides are refused.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    override_refusals: &'a [String],
    /// The disagreements that were allowed.
    allowed: Vec<String>,
    /// Absent where nothing was to be applied, or only the plan was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<Vec<AppliedFile>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_by_others: Option<Vec<String>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(found: &'a DatabaseInfo, plan: &'a MigrationPlan) -> Self {
        Self {
            stage: found.stage.to_string(),
            database: &found.database,
            server: &found.server,
            credentials: &found.origin,
            applied_before: plan.applied(),
            history: plan.history(),
            is_empty_database: plan.is_of_empty_database(),
            pending: plan.pending().collect(),
            is_refused: plan.ensure_admitted().is_err(),
            override_refusals: plan.override_refusals(),
            allowed: plan
                .allowed()
                .iter()
                .map(HistoryProblem::without_advice)
                .collect(),
            applied: None,
            applied_by_others: None,
        }
    }

    /// Takes note of what a run has applied.
    pub(super) fn record(&mut self, report: &MigrationReport) {
        let applied = report.applied.iter();
        let applied = applied.map(|(file, elapsed)| AppliedFile::new(file, *elapsed));
        self.applied = Some(applied.collect());
        let by_others = report.by_others.iter().map(|file| file.path().to_owned());
        self.applied_by_others = Some(by_others.collect());
    }

    /// Returns the pending files for the JSON of an error.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub(super) fn pending_as_json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(&self.pending)
    }

    /// Returns the number of pending files, and what becomes of them: `2 pending: 1 to apply, 1
    /// refused, 0 waiting`.
    pub(super) fn counts(&self) -> String {
        let (mut applies, mut refused, mut waiting, mut held_back) = (0, 0, 0, 0);
        for migration in &self.pending {
            let count = match migration.admission {
                "refused" => &mut refused,
                "waits" => &mut waiting,
                "held back" => &mut held_back,
                _ => &mut applies,
            };
            *count += 1;
        }
        let mut text = format!("{} pending", self.pending.len());
        if !self.pending.is_empty() {
            let _ = write!(
                text,
                ": {applies} to apply, {refused} refused, {waiting} waiting"
            );
        }
        if held_back > 0 {
            let _ = write!(text, ", {held_back} held back");
        }
        text
    }

    /// Returns the number of files that a local stage applies and a deployed one refuses.
    fn refused_elsewhere(&self) -> usize {
        let pending = self.pending.iter();
        pending
            .filter(|one| one.on_deployed_stage == Some("refused"))
            .count()
    }

    /// Returns the plan as text; with the SQL of each file, and what a run would say at its end, if
    /// it `is_result`. Lines but those of SQL fit a width, if there is one.
    pub(super) fn text(&self, is_result: bool, width: Option<usize>) -> String {
        Self::wrapped_text(&self.unwrapped_text(is_result, true), width)
    }

    /// Returns the plan as text, before a run. The error of a run that is refused has the refusals, and
    /// comes right after it.
    pub(super) fn text_before_run(&self, width: Option<usize>) -> String {
        Self::wrapped_text(&self.unwrapped_text(false, !self.is_refused), width)
    }

    fn wrapped_text(text: &str, width: Option<usize>) -> String {
        let lines = text.split('\n').map(|line| match line.strip_prefix(SQL) {
            Some(sql) => sql.to_owned(),
            None => wrapped(line, width),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn unwrapped_text(&self, is_result: bool, has_refusals: bool) -> String {
        let shows_sql = is_result;
        let mut text = format!(
            "stage {}: database {} at {} ({})\n{} applied, {}",
            self.stage,
            one_line(self.database),
            one_line(self.server),
            one_line(self.credentials),
            self.applied_before,
            self.counts()
        );
        if is_result {
            history::add(&mut text, self.history);
        }
        if self.is_empty_database {
            text.push_str("\n  the database is empty: files of each class are applied");
        }
        for problem in &self.allowed {
            let _ = write!(text, "\n  allowed: {}", one_line(problem));
        }
        for refusal in self.override_refusals.iter().filter(|_| has_refusals) {
            let _ = write!(text, "\n  refused: {}", one_line(refusal));
        }
        for migration in &self.pending {
            let how = match migration.in_transaction {
                true => "",
                false => ", without a transaction",
            };
            let decision = match migration.admission {
                "refused" => ", refused",
                "waits" => ", waits for --after",
                "held back" => ", held back",
                _ => "",
            };
            let _ = write!(
                text,
                "\n  {}  ({}{how}{decision})",
                one_line(&migration.file),
                migration.class
            );
            if let Some(because) = migration.held_back {
                let _ = write!(text, "\n    held back: {}", one_line(because));
            }
            let told = match has_refusals {
                true => add_refusals(&mut text, migration),
                false => migration.refusals,
            };
            for finding in migration.findings {
                let (line, class, reason) = (finding.line, finding.class, finding.reason);
                let rule = finding.rule;
                let begins = format!("line {line}: {reason} ({rule})");
                if told.iter().any(|refusal| refusal.contains(&begins)) {
                    continue;
                }
                let _ = write!(text, "\n    line {line}: {class}");
                if finding.is_overridden {
                    text.push_str(", overridden");
                }
                let _ = write!(text, ": {reason} ({rule})");
                // The advice of a file that waits says it.
                if class != "after" || !finding.safe_form.starts_with("the statement in an after") {
                    add_safe_form(&mut text, &finding.safe_form);
                }
                if class == "after" && migration.admission == "waits" && told.is_empty() {
                    let _ = write!(
                        text,
                        ". Deploy code that works after the change, then run `stagelink migrate {} \
                         --after`",
                        self.stage
                    );
                }
            }
            if shows_sql {
                add_statements_of_before(&mut text, migration);
            }
            for dismissed in migration.dismissed.iter().filter(|_| shows_sql) {
                let (line, rule) = (dismissed.line, dismissed.rule);
                let because = one_line(&dismissed.because);
                let _ = write!(text, "\n    line {line}: {rule} does not hold: {because}");
            }
            for lock in migration.locks {
                let _ = write!(text, "\n    locks: {}", one_line(lock));
            }
            let notes = migration.notes.iter();
            for note in notes.filter(|note| has_refusals || !is_refusal(migration, note)) {
                for (index, line) in note.lines().enumerate() {
                    let indent = match index {
                        0 if is_refusal(migration, note) => "refused: ",
                        0 => "note: ",
                        _ => "  ",
                    };
                    let _ = write!(text, "\n    {indent}{}", one_line(line));
                }
            }
            if shows_sql {
                for line in migration.sql.trim().lines() {
                    // A file may contain what a terminal obeys.
                    let line = line.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
                    let _ = write!(text, "\n{SQL}    {line}");
                }
                text.push('\n');
            }
        }
        let mut text = text.trim_end().to_owned();
        if is_result && self.is_refused {
            text.push_str("\n\nas it is, this run would be refused, and would apply nothing");
        } else if is_result && self.refused_elsewhere() > 0 {
            let _ = write!(
                text,
                "\n\nas it is, a run on a deployed stage would be refused, since it refuses {} of \
                 these files",
                self.refused_elsewhere()
            );
        } else if is_result && self.pending.iter().any(|one| one.held_back.is_some()) {
            text.push_str(
                "\n\nas it is, this run would fail at the file that is held back, after those \
                 before it",
            );
        }
        text
    }

    /// Returns a line about the result.
    pub(super) fn summary(&self) -> String {
        let others = self.applied_by_others.as_deref().unwrap_or_default().len();
        let stage = &self.stage;
        let waiting = self.pending.iter().filter(|one| one.admission == "waits");
        let waiting = match waiting.count() {
            0 => String::new(),
            1 => "; one waits for --after".to_owned(),
            count => format!("; {count} wait for --after"),
        };
        let done = match self.applied.as_deref().unwrap_or_default().len() {
            0 if !waiting.is_empty() => format!("nothing to apply to stage {stage} now"),
            0 => match self.applied_before + self.pending.len() {
                0 => "nothing to apply: the folder has no migrations".to_owned(),
                1 => format!("nothing to apply: stage {stage} has the only migration"),
                total => format!("nothing to apply: stage {stage} has all {total} migrations"),
            },
            count if others > 0 => format!(
                "{count} applied to stage {stage}, and {others} by another run in the meantime"
            ),
            count => format!("{count} applied to stage {stage}"),
        };
        done + &waiting
    }
}

/// Adds the statements of *before*, for which no rule has a line, in a file that has several.
fn add_statements_of_before(text: &mut String, migration: &PlannedMigration<'_>) {
    if migration.statements.len() < 2 {
        return;
    }
    let before = migration.statements.iter();
    for statement in before.filter(|one| one.class == "before") {
        let _ = write!(text, "\n    line {}: before", statement.line);
    }
}

/// The beginning of a line of SQL, which is not wrapped. A file's own control characters are replaced.
const SQL: char = '\u{1}';

/// Adds the safe form of a statement; one that needs several files as a list of them.
fn add_safe_form(text: &mut String, form: &str) {
    let files: Vec<_> = form.split(LATER_FILE).collect();
    if files.len() == 1 {
        let _ = write!(text, "; safe: {}", one_line(form));
        return;
    }
    text.push_str("; safe:");
    for (number, file) in files.iter().enumerate() {
        let file = file.trim_end();
        let is_last = number + 1 == files.len();
        let end = ["--", ";"].into_iter().find(|end| file.ends_with(end));
        let file = match end.filter(|_| !is_last) {
            Some(end) => &file[..file.len() - end.len()],
            None => file,
        };
        let of = if number == 0 {
            "one file"
        } else {
            "a later file"
        };
        let _ = write!(text, "\n      in {of}: {}", one_line(file.trim_end()));
    }
}

/// The words before each further file of a safe form.
const LATER_FILE: &str = "in a later file: ";

/// Returns the decision of a deployed stage about a file that is applied here, since nothing is deployed to the
/// local stage.
pub(super) fn on_deployed_stage(migration: &PlannedMigration<'_>) -> Option<&'static str> {
    match migration.on_deployed_stage {
        Some("refused") => Some("refuses it"),
        Some("waits") => Some("applies it only after the deploy (--after)"),
        Some("held back") => Some("holds it back"),
        _ => None,
    }
}

/// Returns the decision of a deployed stage about a file that is applied here, with its reasons in lines
/// of their own; `None` where it applies the file, too.
pub(super) fn decision_of_deployed_stage(migration: &PlannedMigration<'_>) -> Option<String> {
    let decision = on_deployed_stage(migration)?;
    let mut text = format!("{}: a deployed stage {decision}", migration.file);
    if let Some(because) = migration.held_back_on_deployed_stage {
        let _ = write!(text, "\nit is held back: {}", one_line(because));
    }
    for refusal in migration.refusals_on_deployed_stage {
        let words = without_path(migration, refusal).split_whitespace();
        let words: Vec<&str> = words.collect();
        let _ = write!(text, "\n{}", one_line(&words.join(" ")));
    }
    Some(text)
}

/// Adds what refuses a file, here or on a deployed stage. Returns the refusals.
fn add_refusals<'a>(text: &mut String, migration: &PlannedMigration<'a>) -> &'a [String] {
    for refusal in migration.refusals {
        let _ = match without_path(migration, refusal) {
            // The note about the split is that refusal, in several lines.
            _ if is_note(migration, refusal) => Ok(()),
            words => write!(text, "\n    refused: {}", one_line(words)),
        };
    }
    let Some(decision) = on_deployed_stage(migration) else {
        return migration.refusals;
    };
    let _ = write!(
        text,
        "\n    applied here, since nothing is deployed to this local stage; a deployed stage {decision}"
    );
    if let Some(because) = migration.held_back_on_deployed_stage {
        let _ = write!(text, "\n      held back: {}", one_line(because));
    }
    for refusal in migration.refusals_on_deployed_stage {
        if !is_note(migration, refusal) {
            let words = without_path(migration, refusal);
            let _ = write!(text, "\n      {}", one_line(words));
        }
    }
    migration.refusals_on_deployed_stage
}

/// Returns a refusal without the file's path, under which it is shown.
fn without_path<'a>(migration: &PlannedMigration<'_>, refusal: &'a str) -> &'a str {
    let words = refusal.strip_prefix(migration.file).unwrap_or(refusal);
    words.trim_start_matches(':').trim_start()
}

fn is_note(migration: &PlannedMigration<'_>, refusal: &str) -> bool {
    let words = without_path(migration, refusal);
    let mut notes = migration.notes.iter();
    notes.any(|note| note.split_whitespace().eq(words.split_whitespace()))
}

fn is_refusal(migration: &PlannedMigration<'_>, note: &str) -> bool {
    migration.refusals.iter().any(|refusal| {
        let words = without_path(migration, refusal);
        note.split_whitespace().eq(words.split_whitespace())
    })
}

/// Returns an error as JSON, with the pending files of the plan where there was one, and the files that
/// the run applied before the error.
pub(super) fn error_with_progress(
    error: &anyhow::Error,
    progress: RunProgress,
) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct FailureOfRun {
        #[serde(flatten)]
        failure: Failure,
        /// The files that were pending when the plan was made.
        #[serde(skip_serializing_if = "Option::is_none")]
        pending: Option<serde_json::Value>,
        /// Those of them that were applied before the error.
        #[serde(skip_serializing_if = "Option::is_none")]
        applied: Option<Vec<AppliedFile>>,
    }
    FailureOfRun {
        failure: Failure::new(error),
        applied: progress.applied(),
        pending: progress.pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_form_of_several_files_is_a_list() {
        let added = |form: &str| {
            let mut text = "line 1".to_owned();
            add_safe_form(&mut text, form);
            text
        };
        assert_eq!(
            added("CREATE INDEX CONCURRENTLY i ON t (a); -- alone in its file"),
            "line 1; safe: CREATE INDEX CONCURRENTLY i ON t (a); -- alone in its file"
        );
        assert_eq!(
            added("A; B; -- in a later file: C; -- alone in its file; in a later file: D;"),
            "line 1; safe:\n      in one file: A; B;\n      in a later file: C; -- alone in its \
             file\n      in a later file: D;"
        );
    }
}
