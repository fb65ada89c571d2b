//! The board as a table: the stages side by side where the terminal is wide enough, else one below
//! the other.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, Width};
use console::style;
use jiff::Timestamp;
use stagelink::one_line;
use stagelink_pipeline::{Lookup, StageStatus, StatusBoard};

use super::cell::Mark;
use super::stage_text::{ROWS, cells};

/// Returns whether the marks have colours: on a terminal, unless `NO_COLOR` is set.
pub(super) fn has_colors() -> bool {
    console::colors_enabled() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns the board as text of this width.
pub(super) fn text(board: &StatusBoard, width: u16, has_colors: bool) -> String {
    let now = board.made_at.parse().unwrap_or_else(|_| Timestamp::now());
    let (shown, left_out): (Vec<_>, Vec<_>) =
        board.stages.iter().partition(|stage| !is_empty(stage));
    let mut text = match &board.site {
        Lookup::Known { value } => format!("site {}\n", one_line(value)),
        Lookup::Absent { .. } => String::new(),
        Lookup::NotKnown { reason } => format!("? site not known: {}\n", one_line(reason)),
    };
    let count = u16::try_from(shown.len()).unwrap_or(u16::MAX).max(1);
    let column = (width - LABEL_WIDTH - 2).saturating_sub(count) / count;
    let tables: Vec<_> = match column >= MIN_COLUMN {
        true => vec![table(&shown, column, now)],
        false => {
            let column = width - LABEL_WIDTH - 3;
            shown
                .iter()
                .map(|stage| table(&[*stage], column, now))
                .collect()
        }
    };
    text.push_str(&tables.join("\n"));
    for stage in left_out {
        let reason = match &stage.database {
            Lookup::Absent { reason } => one_line(reason).to_string(),
            _ => String::new(),
        };
        text.push_str(&format!("\n{}: {reason}", one_line(&stage.stage)));
    }
    for difference in &board.differences {
        text.push_str(&format!("\n! {}", one_line(&difference.text)));
    }
    if !board.is_complete() {
        text.push_str("\n? not all could be looked up, so the exit code is 1");
    }
    match has_colors {
        true => colored(&text),
        false => text,
    }
}

/// Returns whether a stage has no part of its own, as previews have none. A part that is not known, or
/// that functions refuse, is shown.
fn is_empty(stage: &StageStatus) -> bool {
    let is_absent = matches!(stage.code, Lookup::Absent { .. })
        && matches!(stage.database, Lookup::Absent { .. })
        && matches!(stage.migrations, Lookup::Absent { .. });
    let is_plain = match &stage.function_credentials {
        Lookup::Known { value } => value.refusal.is_none() && value.renewed_by_not_known.is_none(),
        other => !other.is_not_known(),
    };
    is_absent && is_plain && matches!(stage.login, Lookup::Absent { .. })
}

fn table(stages: &[&StageStatus], column: u16, now: Timestamp) -> String {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    let names = stages
        .iter()
        .map(|stage| one_line(&stage.stage).to_string());
    table.set_header(std::iter::once(String::new()).chain(names));
    let columns: Vec<_> = stages.iter().map(|stage| cells(stage, now)).collect();
    for (index, row) in ROWS.iter().enumerate() {
        let texts = columns.iter().map(|cells| cells[index].text());
        table.add_row(Row::from(std::iter::once((*row).to_owned()).chain(texts)));
    }
    let widths = std::iter::once(LABEL_WIDTH).chain(stages.iter().map(|_| column));
    for (index, width) in widths.enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
    }
    // The widths above decide.
    table.set_width(u16::MAX);
    table.to_string()
}

/// Colours the marks at the beginning of cells and lines.
fn colored(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    for line in &mut lines {
        for mark in Mark::SHOWN {
            let (character, painted) = (mark.character(), painted(mark));
            for border in ["│ ", "┆ "] {
                *line = line.replace(
                    &format!("{border}{character} "),
                    &format!("{border}{painted} "),
                );
            }
            if let Some(rest) = line.strip_prefix(&format!("{character} ")) {
                *line = format!("{painted} {rest}");
            }
        }
    }
    lines.join("\n")
}

fn painted(mark: Mark) -> String {
    let character = style(mark.character()).force_styling(true);
    match mark {
        Mark::Good => character.green(),
        Mark::Attention => character.yellow(),
        Mark::Bad => character.red(),
        Mark::Plain | Mark::NotKnown => character.magenta(),
    }
    .to_string()
}

/// The width of the column with the names of the rows, with a space on both sides.
const LABEL_WIDTH: u16 = 13;

/// The least width of a stage's column beside others.
const MIN_COLUMN: u16 = 28;

#[cfg(test)]
mod tests;
