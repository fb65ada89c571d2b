//! Cargo's standard error, read as it is written: progress, waits for locks, and diagnostics.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

/// Makes cargo show its progress, which it otherwise does on a terminal alone.
pub(crate) fn show_progress(cargo: &mut Command) {
    cargo
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "200")
        // It is this command that has the terminal.
        .env("CARGO_TERM_PROGRESS_TERM_INTEGRATION", "false");
}

/// Reads cargo's standard error to its end. Calls `on_activity` with each activity, and returns all that
/// is no status of cargo's: the messages of the compiler.
///
/// # Errors
///
/// When it cannot be read.
pub(crate) async fn read(
    mut stderr: impl AsyncRead + Unpin,
    mut on_activity: impl FnMut(&str),
) -> io::Result<Vec<String>> {
    let mut diagnostics = Vec::new();
    let mut line = Vec::new();
    let mut buffer = vec![0; 8192];
    loop {
        let count = stderr.read(&mut buffer).await?;
        for byte in &buffer[..count] {
            match byte {
                b'\n' | b'\r' => {
                    take(&line, &mut on_activity, &mut diagnostics);
                    line.clear();
                }
                byte => line.push(*byte),
            }
        }
        if count == 0 {
            take(&line, &mut on_activity, &mut diagnostics);
            while diagnostics.last().is_some_and(String::is_empty) {
                diagnostics.pop();
            }
            return Ok(diagnostics);
        }
    }
}

fn take(line: &[u8], on_activity: &mut impl FnMut(&str), diagnostics: &mut Vec<String>) {
    let line = String::from_utf8_lossy(line);
    // What cargo erases a line with.
    let line = line.trim_start_matches("\u{1b}[K").trim_end();
    match activity(line) {
        Some(activity) => on_activity(&activity),
        // An empty line is one between two messages, or what is left of the progress.
        None if line.is_empty() && diagnostics.is_empty() => {}
        None => diagnostics.push(line.to_owned()),
    }
}

/// Returns what a line of cargo's says of its work; `None` for a message of the compiler.
///
/// A status has its verb at the right of the first twelve columns.
fn activity(line: &str) -> Option<String> {
    let (verb, rest) = line.split_at_checked(12)?;
    let rest = rest.strip_prefix(' ')?;
    let word = verb.trim_start();
    let is_verb = word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().skip(1).all(|c| c.is_ascii_lowercase());
    if !is_verb {
        return None;
    }
    // `[====>    ] 12/345: crate, crate(bin)`
    let bar = rest
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    if let Some((_, progress)) = bar {
        let (count, of) = progress.split_once(": ").unwrap_or((progress, ""));
        let (done, all) = count.split_once('/')?;
        let of = match of {
            "" => String::new(),
            of => format!(": {of}"),
        };
        return Some(match word {
            "Building" => format!("compiling {done} of {all}{of}"),
            word => format!("{} {done} of {all}{of}", word.to_ascii_lowercase()),
        });
    }
    Some(match word {
        "Blocking" => format!("{WAITING}another cargo works here ({word} {rest})"),
        "Downloading" | "Downloaded" | "Updating" => {
            let rest = rest.trim_end_matches(['.', ' ']);
            format!("fetching: {word} {rest}")
        }
        word => format!("{word} {rest}"),
    })
}

/// The beginning of an activity that waits for another process.
pub(crate) const WAITING: &str = "waiting: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_cargo_are_activities_and_messages_of_the_compiler_are_not() {
        for (line, expected) in [
            (
                "    Building [=======>            ] 41/133: hyper, notes(bin)",
                Some("compiling 41 of 133: hyper, notes(bin)"),
            ),
            ("    Building [===>  ] 1/2", Some("compiling 1 of 2")),
            (
                "    Blocking waiting for file lock on build directory",
                Some(
                    "waiting: another cargo works here (Blocking waiting for file lock on build directory)",
                ),
            ),
            (
                " Downloading crates ...",
                Some("fetching: Downloading crates"),
            ),
            (
                "  Downloaded notify v8.2.2",
                Some("fetching: Downloaded notify v8.2.2"),
            ),
            (
                "   Compiling notes v0.1.0 (/srv/shop/functions/notes)",
                Some("Compiling notes v0.1.0 (/srv/shop/functions/notes)"),
            ),
            ("error[E0425]: cannot find value `nothing`", None),
            ("warning: unused variable", None),
            ("  --> functions/hello/src/main.rs:1:13", None),
            ("   |", None),
            ("12 | fn main() { nothing }", None),
            ("   = note: Some words of a note", None),
            ("", None),
            ("äöüäöüäöüäöü", None),
        ] {
            assert_eq!(activity(line).as_deref(), expected, "{line}");
        }
    }

    #[tokio::test]
    async fn progress_that_is_written_over_itself_is_read_step_by_step() {
        let text = "   Compiling a v1.0.0\n    Building [>  ] 0/2: a\r\u{1b}[K    Building [=> ] 1/2: b\r\
                    error: no\n\n  because\n    Finished `dev` profile\n";
        let mut activities = Vec::new();
        let diagnostics = read(text.as_bytes(), |activity| {
            activities.push(activity.to_owned());
        });
        assert_eq!(diagnostics.await.unwrap(), ["error: no", "", "  because"]);
        assert_eq!(
            activities,
            [
                "Compiling a v1.0.0",
                "compiling 0 of 2: a",
                "compiling 1 of 2: b",
                "Finished `dev` profile",
            ]
        );
    }
}
