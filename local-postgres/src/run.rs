//! Runs a program to its end; what it complained of becomes the error's cause.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::time::timeout;

use crate::{Error, ErrorKind};

/// Runs a command and returns what it printed.
///
/// # Errors
///
/// [`ErrorKind::Missing`] if there is no such program, [`ErrorKind::Process`]
/// with the text `failure` if it fails.
pub(crate) fn run(mut command: Command, failure: &str) -> Result<String, Error> {
    judge(command.stdin(Stdio::null()).output(), failure)
}

/// As [`run`], with a text on the program's standard input.
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
            // A program that ends without reading it all says more by its end.
            let written = child
                .stdin
                .take()
                .map(|mut pipe| pipe.write_all(input.as_bytes()));
            drop(written);
            child.wait_with_output()
        });
    judge(output, failure).map(drop)
}

/// As [`run`], and kills the program when it takes longer than `limit`.
pub(crate) async fn run_within(
    limit: Duration,
    command: Command,
    failure: &str,
) -> Result<String, Error> {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(limit, command.output()).await {
        Ok(output) => judge(output, failure),
        Err(_) => Err(Error::new(ErrorKind::Process, failure)
            .because(format!("it took longer than {} s", limit.as_secs()))),
    }
}

fn judge(output: io::Result<Output>, failure: &str) -> Result<String, Error> {
    let output = output.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::Missing,
            _ => ErrorKind::Process,
        };
        Error::new(kind, failure).because(error)
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = last_lines(&String::from_utf8_lossy(&output.stderr));
    let cause = if complaint.is_empty() {
        output.status.to_string()
    } else {
        complaint
    };
    Err(Error::new(ErrorKind::Process, failure).because(cause))
}

/// The end of what a program said, where the reason of a failure stands.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

const LAST_LINES: usize = 12;
