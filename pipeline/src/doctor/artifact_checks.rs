//! The check of built functions against the migrations of a stage's database: pure.

use crate::doctor::verdict::{Finding, Level, Verdict};
use crate::needs::{GateVerdict, MigrationList, RecordedMigration, gate};

/// Judges whether a stage's database can run these functions.
pub(super) fn judge_artifacts(
    artifacts: &[(String, Option<MigrationList>)],
    history: &[RecordedMigration],
    stage: &str,
    options: &str,
) -> Verdict {
    let mut findings = Vec::new();
    let mut unknown = Vec::new();
    for (function, list) in artifacts {
        let verdict = gate(list.as_ref(), history);
        let reasons = verdict.reasons().join(", and ");
        match verdict {
            GateVerdict::Runs => {}
            GateVerdict::NeedsFirst(_) => findings.push(Finding::new(
                Level::Warning,
                format_args!("the built function {function} needs more: {reasons}"),
                format_args!("run `stagelink migrate {stage}{options}` before you deploy it"),
            )),
            GateVerdict::CannotRun(_) => findings.push(Finding::new(
                Level::Error,
                format_args!("the built function {function} cannot run here: {reasons}"),
                "bring the checkout up to date, and run `stagelink build` again",
            )),
            GateVerdict::Unknown(_) => unknown.push(format!("{function}: {reasons}")),
        }
    }
    match (findings.is_empty(), unknown.is_empty()) {
        (true, false) => Verdict::not_checked(unknown.join("; ")),
        _ => Verdict::of(
            findings,
            format_args!(
                "the database can run the {} built functions",
                artifacts.len()
            ),
        ),
    }
}
