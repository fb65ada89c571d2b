//! The lines about a change of a stage that did not come to its end, or still runs.

use jiff::Timestamp;
use stagelink_pipeline::{Lookup, StageStatus};

use super::cell::{Cell, Mark};
use super::time::with_age;

/// Adds the change, where there is one.
pub(super) fn add(cell: &mut Cell, stage: &StageStatus, now: Timestamp) {
    let change = match &stage.unfinished {
        Lookup::Known { value } => value,
        Lookup::NotKnown { reason } => {
            // The cell of the database, or the line about what runs, has it.
            let has = |other: Option<&str>| other == Some(reason);
            if !has(reason_of(&stage.database)) && !has(reason_of(&stage.running)) {
                let text = format_args!("unfinished commands not known: {reason}");
                cell.line(Mark::NotKnown, text);
            }
            return;
        }
        Lookup::Absent { .. } => return,
    };
    let (title, since) = (change.title(), with_age(&change.since, now));
    cell.line(
        Mark::Attention,
        format_args!("{title} not finished, since {since}"),
    );
    if let Some(step) = &change.step {
        cell.plain(format_args!("in the step {step}"));
    }
    if !change.by.is_empty() {
        cell.plain(format_args!("by {}", change.by));
    }
    cell.plain(change.ways());
}

fn reason_of<T>(lookup: &Lookup<T>) -> Option<&str> {
    match lookup {
        Lookup::NotKnown { reason } => Some(reason),
        _ => None,
    }
}
