//! The recorded deploys as a table: a line for each on a wide terminal, else two.

use jiff::Timestamp;
use stagelink::one_line;
use stagelink_pipeline::{DeployOutcome, DeployRecord};

use super::History;
use crate::table::Table;

/// Returns the deploys as text of this width.
pub(super) fn text(history: &History, width: u16) -> String {
    if history.deploys.is_empty() {
        return format!(
            "stage {}: no deploy is recorded in its database. Code that runs there was deployed by \
             other means than a command of stagelink's",
            one_line(&history.stage)
        );
    }
    let rows = history.deploys.iter().map(Row::of);
    let table = match width >= WIDE {
        true => wide(rows),
        false => narrow(rows),
    };
    format!("stage {}\n{table}", one_line(&history.stage))
}

/// The cells of a deploy.
struct Row {
    when: String,
    command: String,
    artifact: String,
    commit: String,
    by: String,
    outcome: String,
    deploy: String,
}

impl Row {
    fn of(record: &DeployRecord) -> Self {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        Self {
            when: minute(&record.started_at),
            command: record.command.clone(),
            artifact: shortened(&record.artifact, 12),
            commit: shortened(&or_none(&record.commit), 8),
            by: match &*record.by {
                "" => "-".to_owned(),
                by => by.to_owned(),
            },
            outcome: match record.outcome {
                Some(DeployOutcome::Succeeded) => "✓ succeeded".to_owned(),
                Some(DeployOutcome::Failed) => "✗ failed".to_owned(),
                Some(outcome) => format!("! {outcome}"),
                None => "? unfinished".to_owned(),
            },
            deploy: or_none(&record.deploy),
        }
    }
}

fn wide(rows: impl Iterator<Item = Row>) -> Table {
    let mut table = Table::with_header([
        "when (UTC)",
        "command",
        "artifact",
        "commit",
        "by",
        "outcome",
        "deploy",
    ]);
    for row in rows {
        table.add_row([
            &row.when,
            &row.command,
            &row.artifact,
            &row.commit,
            &shortened(&row.by, 18),
            &row.outcome,
            &row.deploy,
        ]);
    }
    table
}

fn narrow(rows: impl Iterator<Item = Row>) -> Table {
    let mut table = Table::with_lines([
        ["when (UTC)", "by"],
        ["command", "outcome"],
        ["artifact", "commit"],
        ["deploy", ""],
    ]);
    for row in rows {
        table.add_lines([
            [&row.when, &shortened(&row.by, 16)],
            [&row.command, &row.outcome],
            [&row.artifact, &row.commit],
            [&row.deploy, ""],
        ]);
    }
    table
}

/// Returns a time to the minute. A text that is no time is returned as it is.
fn minute(time: &str) -> String {
    let parsed = time.parse::<Timestamp>();
    parsed.map_or_else(
        |_| time.to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

/// Returns the first characters of a text, with an ellipsis where a name is cut.
fn shortened(text: &str, length: usize) -> String {
    let is_digest = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.chars().count() <= length {
        true => text.to_owned(),
        false if is_digest => text.chars().take(length).collect(),
        false => {
            let cut: String = text.chars().take(length.saturating_sub(1)).collect();
            format!("{cut}…")
        }
    }
}

/// The width from which a deploy has a line of its own.
const WIDE: u16 = 120;

#[cfg(test)]
mod tests;
