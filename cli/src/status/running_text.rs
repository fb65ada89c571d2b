//! The lines about the code that runs: what a deploy's functions answered.

use stagelink_pipeline::{Lookup, RunningAnswer, RunningDeploy, RunningFunction};

use super::cell::{Cell, Mark, listed};
use crate::called_as::as_called;

/// Adds the answers of a deploy's functions. Where nothing was asked, the lines about the deploy's
/// record say enough.
pub(super) fn add(cell: &mut Cell, running: &Lookup<RunningDeploy>, stage: &str) {
    let deploy = match running {
        Lookup::Known { value } => value,
        Lookup::NotKnown { reason } => {
            let text = format!("what runs is not known: {reason}");
            return cell.line(Mark::NotKnown, text);
        }
        Lookup::Absent { .. } => return,
    };
    let mut agree = Vec::new();
    for RunningFunction { name, answer, .. } in &deploy.functions {
        match answer {
            Lookup::Known { value } => {
                if value.differs.is_empty() {
                    agree.push(name.clone());
                }
                add_faults(cell, name, value, stage);
            }
            Lookup::Absent { reason } | Lookup::NotKnown { reason } => {
                cell.line(Mark::NotKnown, format_args!("{name} {reason}"));
            }
        }
    }
    if !agree.is_empty() {
        let names = listed(&agree);
        cell.line(Mark::Good, format_args!("runs as recorded: {names}"));
    }
    if !deploy.not_asked.is_empty() {
        let names = listed(&deploy.not_asked);
        cell.line(Mark::NotKnown, format_args!("not asked: {names}"));
    }
}

fn add_faults(cell: &mut Cell, name: &str, answer: &RunningAnswer, stage: &str) {
    for difference in &answer.differs {
        cell.line(Mark::Bad, format_args!("{name} {difference}"));
    }
    match &answer.needs {
        Lookup::Known { value } => {
            let reasons = value.reasons.join(", and ");
            match value.verdict.as_str() {
                "runs" => {}
                "needs-first" => cell.line(
                    Mark::Bad,
                    as_called(&format!(
                        "{name} needs more: {reasons}: `stagelink migrate {stage}`"
                    )),
                ),
                "cannot-run" => {
                    cell.line(Mark::Bad, format_args!("{name} cannot run here: {reasons}"));
                }
                _ => cell.line(
                    Mark::Attention,
                    format_args!("whether {name} can run here is not known: {reasons}"),
                ),
            }
        }
        Lookup::Absent { reason } | Lookup::NotKnown { reason } => {
            cell.line(
                Mark::NotKnown,
                format_args!("the needs of {name} not known: {reason}"),
            );
        }
    }
    if !answer.is_database_ok() {
        let mark = match answer.is_retryable {
            true => Mark::Attention,
            false => Mark::Bad,
        };
        let kind = answer.database.as_str();
        let way = match kind {
            "database-refused" | "database-unreachable" => {
                format!("`stagelink link`, then `stagelink deploy {stage}`")
            }
            _ => "see its log".to_owned(),
        };
        cell.line(
            mark,
            format_args!("{name} cannot use its database ({kind}): {way}"),
        );
    }
}
