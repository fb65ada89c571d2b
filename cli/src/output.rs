//! Output of the command: results on standard output, notes on standard error.
//!
//! Names and messages of services, servers and files are in it. No control character gets through
//! here but line breaks and tabs, so that none of them is a sequence that a terminal obeys. A text of
//! several lines that holds such names has each of them as [`stagelink::one_line`].

use std::fmt::Display;
use std::io::{self, Write, stderr, stdout};

use anyhow::Context as _;
use serde::Serialize;
use stagelink::one_line;

use crate::called_as::as_called;
use crate::missing::MissingSettings;
use crate::usage_error::outermost_pipeline_error;
use crate::wrap::wrapped;

/// Turns colours off where `NO_COLOR` is set, also where `CLICOLOR_FORCE` wants them.
pub fn obey_no_color() {
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        console::set_colors_enabled(false);
        console::set_colors_enabled_stderr(false);
    }
}

/// Returns the width of the terminal that standard output is, if it is one.
pub(crate) fn terminal_width() -> Option<usize> {
    let terminal = console::Term::stdout();
    let size = terminal.is_term().then(|| terminal.size_checked());
    size.flatten().map(|(_, columns)| usize::from(columns))
}

/// Prints a result with a line break to standard output.
///
/// # Errors
///
/// When it cannot be written, such as to a pipe that its reader has closed.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    write(stdout().lock(), &lines(&text.to_string())).context("could not write to standard output")
}

/// Prints a result as [`print`] does, in lines that fit the terminal where standard output is one. Those of
/// tables stay as they are.
///
/// # Errors
///
/// When it cannot be written.
pub(crate) fn print_wrapped(text: impl Display) -> anyhow::Result<()> {
    print(wrapped_text(&text.to_string(), terminal_width()))
}

/// Returns a text in lines that fit a width, but for those of tables.
pub(crate) fn wrapped_text(text: &str, width: Option<usize>) -> String {
    let of_table = |line: &str| line.trim_start().starts_with(TABLE);
    let lines = text.split('\n').map(|line| match of_table(line) {
        true => line.to_owned(),
        false => wrapped(line, width),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The characters with which a line of a table begins.
const TABLE: [char; 8] = ['│', '┌', '└', '├', '╞', '┆', '─', '╪'];

/// Prints a result with colours to standard output. What comes from outside is escaped already.
///
/// # Errors
///
/// When it cannot be written.
pub(crate) fn print_styled(text: impl Display) -> anyhow::Result<()> {
    write(stdout().lock(), &text.to_string()).context("could not write to standard output")
}

/// Prints a result as one line of JSON to standard output.
///
/// # Errors
///
/// When it cannot be written.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let json = json_line(&serde_json::to_string(value)?);
    write(stdout().lock(), &json).context("could not write to standard output")
}

/// Prints a line to standard output that is escaped already.
///
/// # Errors
///
/// When it cannot be written.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    write(stdout().lock(), line)
}

/// Prints a text of several lines to standard error, where standard output has the result alone.
///
/// # Errors
///
/// When it cannot be written.
pub fn print_beside(text: impl Display) -> anyhow::Result<()> {
    let text = wrapped_text(&lines(&text.to_string()), error_width());
    write(stderr().lock(), &text).context("could not write to standard error")
}

/// Prints a line to standard error, in lines that fit the terminal where that is one. Where standard error
/// is closed the line is lost, and the command goes on: `eprintln!` would panic, and leave what runs
/// without its orderly end. Lines after a line break are indented, so that they are not taken for others.
pub fn note(line: impl Display) {
    let text = lines(&line.to_string()).replace('\n', "\n    ");
    note_styled(wrapped_text(&text, error_width()));
}

/// Returns the width of the terminal that standard error is, if it is one.
pub(crate) fn error_width() -> Option<usize> {
    let terminal = console::Term::stderr();
    let size = terminal.is_term().then(|| terminal.size_checked());
    size.flatten().map(|(_, columns)| usize::from(columns))
}

/// Prints an error to standard error: its text, a line for each of its parts, and its causes.
pub fn note_error(error: &anyhow::Error) {
    // Not one beneath a context, whose own text comes first.
    let of_pipeline = outermost_pipeline_error(error);
    let (headline, details) = if let Some(error) = of_pipeline {
        (error.headline(), error.details().collect())
    } else if let Some(missing) = error.downcast_ref::<MissingSettings>() {
        (missing.headline(), missing.details().to_vec())
    } else {
        (error.to_string(), Vec::new())
    };
    note(format_args!("error: {headline}"));
    for detail in details {
        note(format_args!("  {detail}"));
    }
    for cause in error.chain().skip(1) {
        note(format_args!("  because: {cause}"));
    }
}

/// Prints a line with colours to standard error. What comes from outside is escaped already.
pub(crate) fn note_styled(line: impl Display) {
    let _ = write(stderr().lock(), &line.to_string());
}

/// A standard error for a log: each text that is written at once is one line.
#[derive(Debug)]
pub(crate) struct LogOutput;

impl Write for LogOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let (line, end) = match text.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (&*text, ""),
        };
        write!(stderr().lock(), "{}{end}", one_line(line))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

fn write(mut output: impl Write, text: &str) -> io::Result<()> {
    writeln!(output, "{}", as_called(text))?;
    output.flush()
}

/// Escapes what [`one_line`] escapes, but for line breaks and tabs.
fn lines(text: &str) -> String {
    let ends = ["\r\n", "\n", "\t"];
    let parts = text.split_inclusive(['\n', '\t']).map(|part| {
        let end = ends.into_iter().find(|end| part.ends_with(end));
        let end = end.unwrap_or_default();
        format!("{}{end}", one_line(&part[..part.len() - end.len()]))
    });
    parts.collect()
}

/// Returns whether [`print`] prints a text without a change.
pub(crate) fn is_printed_as_it_is(text: &str) -> bool {
    lines(text) == text
}

/// Escapes in JSON what [`one_line`] escapes and JSON does not.
pub(crate) fn json_line(json: &str) -> String {
    let escaped = |c: char| match one_line(c).to_string() {
        line if line.starts_with(c) => line,
        _ => format!("\\u{:04x}", u32::from(c)),
    };
    // A character beyond four digits is none of these.
    json.chars().map(escaped).collect()
}

/// Escapes a line of a log but for its colours, which end with it.
pub(crate) fn log_line(text: &str) -> String {
    let mut escaped = String::new();
    let mut has_colors = false;
    let mut rest = text;
    while let Some(start) = rest.find("\u{1b}[") {
        let sequence = &rest[start + 2..];
        let length = sequence.find(|c: char| !(c.is_ascii_digit() || c == ';'));
        let color = length.filter(|length| sequence[*length..].starts_with('m'));
        let end = start + 2 + color.map_or(0, |length| length + 1);
        escaped.push_str(&one_line(&rest[..start]).to_string());
        match color {
            Some(_) => escaped.push_str(&rest[start..end]),
            None => escaped.push_str(&one_line(&rest[start..end]).to_string()),
        }
        has_colors |= color.is_some();
        rest = &rest[end..];
    }
    escaped.push_str(&one_line(rest).to_string());
    if has_colors {
        escaped.push_str("\u{1b}[0m");
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_several_lines_keeps_them_and_no_other_control_character() {
        let text = "a\tb\r\nPEM\n\u{1b}[2J\rforged\n\n é";
        assert_eq!(lines(text), "a\tb\r\nPEM\n\\u{1b}[2J\\rforged\n\n é");
    }

    #[test]
    fn sentences_are_wrapped_and_tables_are_not() {
        let text = "one two three\n│ one │ two │ three │\n  note: four five";
        assert_eq!(wrapped_text(text, None), text);
        assert_eq!(
            wrapped_text(text, Some(9)),
            "one two\n  three\n│ one │ two │ three │\n  note:\n    four\n    five"
        );
    }

    #[test]
    fn json_stays_json() {
        let text = "a\n\u{1b}\u{7f}\u{9b}31m\u{2028}\u{202e}é😀";
        let line = json_line(&serde_json::to_string(text).unwrap());
        assert!(
            !line.contains(char::is_control) && line.contains("\\u202e"),
            "{line}"
        );
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn line_of_a_log_keeps_its_colors_alone() {
        for (text, expected) in [
            ("plain \u{1b}7", "plain \\u{1b}7"),
            (
                "\u{1b}[2m12:00\u{1b}[0m \u{1b}[1;32mINFO\u{1b}[0m",
                "\u{1b}[2m12:00\u{1b}[0m \u{1b}[1;32mINFO\u{1b}[0m\u{1b}[0m",
            ),
            ("\u{1b}[8mhidden", "\u{1b}[8mhidden\u{1b}[0m"),
            ("\u{1b}[2J\u{1b}[", "\\u{1b}[2J\\u{1b}["),
            ("\u{1b}]0;m\u{7}\r", "\\u{1b}]0;m\\u{7}\\r"),
        ] {
            assert_eq!(log_line(text), expected);
        }
    }
}
