//! Tables for people. A cell is one line, whatever comes into it from outside.

use std::fmt::{self, Display};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement};
use stagelink::one_line;

use crate::called_as::as_called;

/// A table. It never breaks a line within a cell, so that an address or a hash can be copied.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new() -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Disabled);
        Self(table)
    }

    pub(crate) fn with_header<const N: usize>(header: [&str; N]) -> Self {
        let mut table = Self::new();
        table.0.set_header(header);
        table
    }

    pub(crate) fn add_row<const N: usize>(&mut self, cells: [&str; N]) {
        // A command in a cell is written before the columns are laid out.
        let cells = cells.map(|cell| as_called(&one_line(cell).to_string()).into_owned());
        self.0.add_row(cells);
    }

    /// Makes a table whose cells have two lines each.
    pub(crate) fn with_lines<const N: usize>(header: [[&str; 2]; N]) -> Self {
        let mut table = Self::new();
        table.0.set_header(header.map(two_lines));
        table
    }

    pub(crate) fn add_lines<const N: usize>(&mut self, cells: [[&str; 2]; N]) {
        self.0.add_row(cells.map(two_lines));
    }

    pub(crate) fn align_right(&mut self, column: usize) {
        if let Some(column) = self.0.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn two_lines(lines: [&str; 2]) -> String {
    let [first, second] = lines.map(|line| one_line(line).to_string());
    match second.is_empty() {
        true => first,
        false => format!("{first}\n{second}"),
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns the width for the table: that of the terminal, or of `COLUMNS`.
pub(crate) fn terminal_width() -> u16 {
    let columns = std::env::var("COLUMNS").ok();
    let columns = columns.and_then(|columns| columns.trim().parse().ok());
    let of_terminal = console::Term::stdout()
        .size_checked()
        .map(|(_, width)| width);
    let width = of_terminal.or(columns).unwrap_or(DEFAULT_WIDTH);
    width.clamp(MIN_WIDTH, MAX_WIDTH)
}

/// The width where nothing says what the terminal has.
const DEFAULT_WIDTH: u16 = 100;

const MIN_WIDTH: u16 = 40;

const MAX_WIDTH: u16 = 180;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_is_one_line() {
        let mut table = Table::with_header(["name", "value"]);
        table.add_row(["a\nforged │ row", "\u{1b}[2J"]);
        let text = table.to_string();
        assert!(text.contains("a\\nforged │ row ┆ \\u{1b}[2J"), "{text}");
        assert_eq!(text.lines().count(), 5);
    }
}
