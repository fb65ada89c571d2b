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
        for problem in &self.allowed {
            let _ = write!(text, "\n  allowed: {}", one_line(problem));
        }
        for migration in &self.pending {
            let how = match migration.in_transaction {
                true => "",
                false => ", without a transaction",
            };
            let _ = write!(
                text,
                "\n  {}  ({}{how})",
                one_line(&migration.file),
                migration.class
            );
            for finding in migration.findings {
                let (line, class, reason) = (finding.line, finding.class, finding.reason);
                let _ = write!(text, "\n    line {line}: {class}, since {reason}");
                let _ = write!(
                    text,
                    " ({}); safe: {}",
                    finding.rule,
                    one_line(&finding.safe_form)
                );
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
        match self.applied.as_deref().unwrap_or_default().len() {
            0 => format!(
                "nothing to apply: stage {stage} has all {} migrations",
                self.total()
            ),
            count if others > 0 => format!(
                "{count} applied to stage {stage}, and {others} by another run in the meantime"
            ),
            count => format!("{count} applied to stage {stage}"),
        }
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
        because: Vec<String>,
        /// True if the same command may succeed later.
        is_retryable: bool,
    }
    let kind = error.downcast_ref::<Error>().map(Error::kind);
    Failure {
        error: error.to_string(),
        because: error.chain().skip(1).map(ToString::to_string).collect(),
        is_retryable: matches!(kind, Some(ErrorKind::Busy | ErrorKind::Unavailable)),
    }
}
