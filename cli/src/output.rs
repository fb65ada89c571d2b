//! Output of the command: results on standard output, notes on standard error.

use std::fmt::Display;
use std::io::{Write as _, stderr, stdout};

use anyhow::Context as _;

/// Prints a result with a line break to standard output.
///
/// # Errors
///
/// When it cannot be written, such as to a pipe that its reader has closed.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context("could not write to standard output")
}

/// Prints a line to standard error. Where that is closed the line is lost, and the command goes
/// on: `eprintln!` would panic, and leave what runs without its orderly end.
pub fn note(line: impl Display) {
    let _ = writeln!(stderr().lock(), "{line}");
}
