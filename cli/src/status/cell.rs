//! A cell of the table: lines with a mark.

use std::fmt::Display;

use stagelink::one_line;
use stagelink_pipeline::Lookup;

use crate::called_as::as_called;

/// The judgement of a line, which a character at its beginning shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Plain,
    Good,
    Attention,
    Bad,
    NotKnown,
}

impl Mark {
    /// All marks that have a character.
    pub(super) const SHOWN: [Self; 4] = [Self::Good, Self::Attention, Self::Bad, Self::NotKnown];

    pub(super) fn character(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "✓",
            Self::Attention => "!",
            Self::Bad => "✗",
            Self::NotKnown => "?",
        }
    }
}

/// The lines of a cell.
#[derive(Debug, Default)]
pub(super) struct Cell(Vec<String>);

impl Cell {
    pub(super) fn line(&mut self, mark: Mark, text: impl Display) {
        // A command in it is written before the columns are laid out.
        let text = one_line(text).to_string();
        let text = as_called(&text);
        self.0.push(match mark {
            Mark::Plain => text.to_string(),
            mark => format!("{} {text}", mark.character()),
        });
    }

    pub(super) fn plain(&mut self, text: impl Display) {
        self.line(Mark::Plain, text);
    }

    /// Adds the reason of a part that has no value.
    pub(super) fn without_value<T>(&mut self, lookup: &Lookup<T>) {
        match lookup {
            Lookup::Known { .. } => {}
            Lookup::Absent { reason } => self.plain(format_args!("none: {reason}")),
            Lookup::NotKnown { reason } => {
                self.line(Mark::NotKnown, format_args!("not known: {reason}"));
            }
        }
    }

    pub(super) fn text(&self) -> String {
        self.0.join("\n")
    }
}

/// Returns names with commas; of many the first ones.
pub(super) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMES).map(String::as_str);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

const MOST_NAMES: usize = 5;
