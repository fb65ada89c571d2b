//! Runs a program to its end and turns its failure into an error.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::time::timeout;

use crate::{Error, ErrorKind};

/// Runs a command and returns its standard output.
///
/// # Errors
///
/// An error with the message `failure`: [`ErrorKind::Missing`] if the program
/// does not exist, [`ErrorKind::Process`] if it fails. The last lines of its
/// standard error become the cause.
pub(crate) fn run(mut command: Command, failure: &str) -> Result<String, Error> {
    check_output(command.stdin(Stdio::null()).output(), failure)
}

/// Runs a command as [`run`] does, with `input` on its standard input.
pub(crate) fn run_with_input(
    mut command: Command,
    input: &str,
    failure: &str,
) -> Result<(), Error> {
    let output = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            // If the program ends early, its exit status says more than the failed write.
            let written = child
                .stdin
                .take()
                .map(|mut pipe| pipe.write_all(input.as_bytes()));
            drop(written);
            child.wait_with_output()
        });
    check_output(output, failure).map(drop)
}

/// Runs a command as [`run`] does, and kills it after `limit`.
pub(crate) async fn run_within(
    limit: Duration,
    command: Command,
    failure: &str,
) -> Result<String, Error> {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(limit, command.output()).await {
        Ok(output) => check_output(output, failure),
        Err(_) => Err(Error::new(ErrorKind::Process, failure)
            .with_source(format!("timed out after {} s", limit.as_secs()))),
    }
}

fn check_output(output: io::Result<Output>, failure: &str) -> Result<String, Error> {
    let output = output.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::Missing,
            _ => ErrorKind::Process,
        };
        Error::new(kind, failure).with_source(error)
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = last_lines(&String::from_utf8_lossy(&output.stderr));
    let cause = if stderr.is_empty() {
        output.status.to_string()
    } else {
        stderr
    };
    Err(Error::new(ErrorKind::Process, failure).with_source(cause))
}

/// Returns the last non-empty lines of a program's output, which give the reason of a failure.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

const LAST_LINES: usize = 12;
