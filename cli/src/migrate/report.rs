//! The plan and the result of `stagelink migrate`, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use stagelink::{DatabaseInfo, one_line};
use stagelink_pipeline::{Error, ErrorKind, MigrationPlan, MigrationReport, PlannedMigration};

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
    /// True if the database has no table, so that files of each class are applied.
    is_empty_database: bool,
    pending: Vec<PlannedMigration<'a>>,
    /// The disagreements that were allowed.
    allowed: Vec<String>,
    /// Absent where nothing was to be applied, or only the plan was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<Vec<AppliedFile>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_by_others: Option<Vec<String>>,
}

#[derive(Serialize)]
struct AppliedFile {
    file: String,
    seconds: f64,
}

impl<'a> Report<'a> {
    pub(super) fn new(found: &'a DatabaseInfo, plan: &'a MigrationPlan) -> Self {
        Self {
            stage: found.stage.to_string(),
            database: &found.database,
            server: &found.server,
            credentials: &found.origin,
            applied_before: plan.applied(),
            is_empty_database: plan.is_of_empty_database(),
            pending: plan.pending().collect(),
            allowed: plan.allowed().iter().map(ToString::to_string).collect(),
            applied: None,
            applied_by_others: None,
        }
    }

    /// Takes note of what a run has applied.
    pub(super) fn record(&mut self, report: &MigrationReport) {
        let applied = report.applied.iter().map(|(file, elapsed)| AppliedFile {
            file: file.path().to_owned(),
            seconds: elapsed.as_secs_f64(),
        });
        self.applied = Some(applied.collect());
        let by_others = report.by_others.iter().map(|file| file.path().to_owned());
        self.applied_by_others = Some(by_others.collect());
    }

    /// Returns the plan as text; with the SQL of each file if `shows_sql`.
    pub(super) fn text(&self, shows_sql: bool) -> String {
        let mut text = format!(
            "stage {}: database {} at {} ({})\n{} applied, {} to apply",
            self.stage,
            one_line(self.database),
            one_line(self.server),
            one_line(self.credentials),
            self.applied_before,
            self.pending.len()
        );
        if self.is_empty_database {
            text.push_str("\n  the database is empty: files of each class are applied");
        }
        for problem in &self.allowed {
            let _ = write!(text, "\n  allowed: {}", one_line(problem));
        }
        for migration in &self.pending {
            let how = match migration.in_transaction {
                true => "",
                false => ", without a transaction",
            };
            let decision = match migration.admission {
                _ if !migration.refusals.is_empty() => ", refused",
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
            for finding in migration.findings {
                let (line, class, reason) = (finding.line, finding.class, finding.reason);
                let _ = write!(text, "\n    line {line}: {class}");
                if finding.is_overridden {
                    text.push_str(", overridden");
                }
                let _ = write!(
                    text,
                    ", since {reason} ({}); safe: {}",
                    finding.rule,
                    one_line(&finding.safe_form)
                );
            }
            for dismissed in migration.dismissed.iter().filter(|_| shows_sql) {
                let (line, rule) = (dismissed.line, dismissed.rule);
                let because = one_line(&dismissed.because);
                let _ = write!(text, "\n    line {line}: {rule} does not hold: {because}");
            }
            for lock in migration.locks {
                let _ = write!(text, "\n    locks: {}", one_line(lock));
            }
            for note in migration.notes {
                for (index, line) in note.lines().enumerate() {
                    let indent = if index == 0 { "note: " } else { "  " };
                    let _ = write!(text, "\n    {indent}{}", one_line(line));
                }
            }
            if shows_sql {
                for line in migration.sql.trim().lines() {
                    // A file may contain what a terminal obeys.
                    let line = line.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
                    let _ = write!(text, "\n    {line}");
                }
                text.push('\n');
            }
        }
        text.trim_end().to_owned()
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
            0 => format!(
                "nothing to apply: stage {stage} has all {} migrations",
                self.total()
            ),
            count if others > 0 => format!(
                "{count} applied to stage {stage}, and {others} by another run in the meantime"
            ),
            count => format!("{count} applied to stage {stage}"),
        };
        done + &waiting
    }

    fn total(&self) -> usize {
        self.applied_before + self.pending.len()
    }
}

/// Returns an error and its causes as JSON.
pub(crate) fn error(error: &anyhow::Error) -> impl Serialize + use<> {
    #[derive(Serialize)]
    struct Failure {
        error: String,
        /// The parts of an error that has several, such as the statements that are refused.
        details: Vec<String>,
        because: Vec<String>,
        /// True if the same command may succeed later.
        is_retryable: bool,
    }
    let of_pipeline = error.downcast_ref::<Error>();
    let kind = of_pipeline.map(Error::kind);
    Failure {
        error: error.to_string(),
        details: of_pipeline.map_or_else(Vec::new, |error| error.details().collect()),
        because: error.chain().skip(1).map(ToString::to_string).collect(),
        is_retryable: matches!(kind, Some(ErrorKind::Busy | ErrorKind::Unavailable)),
    }
}
