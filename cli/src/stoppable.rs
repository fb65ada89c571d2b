//! A command that changes a stage and that a signal may stop: what it has started ends with it, and the
//! operator reads how to go on.

use std::process::ExitCode;

use crate::failure::{Failure, print_failure};
use crate::output::note;
use crate::planned_change::Begun;
use crate::shutdown_signals::{self, ShutdownSignals};

/// Runs a command until it ends or a signal stops it. The exit code is then 128 and the signal's number.
/// `name` is the command's, as in `promotion`. The command notes when it begins to change something.
///
/// # Errors
///
/// The command's error, which is printed as JSON besides, where that is wanted.
pub(crate) async fn run(
    name: &str,
    is_json: bool,
    command: impl AsyncFnOnce(&Begun) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let mut signals = ShutdownSignals::listen()?;
    let begun = Begun::default();
    let result = tokio::select! {
        result = command(&begun) => result,
        // Dropping the future stops what it has started.
        signal = signals.next() => {
            note(format_args!("the {name} was stopped by {signal}: {}", next(&begun)));
            return Ok(ExitCode::from(shutdown_signals::exit_code(signal)));
        }
    };
    if let Err(error) = &result
        && is_json
    {
        print_failure(&Failure::new(error));
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// Returns what the operator has to know of a command that was stopped.
fn next(begun: &Begun) -> &'static str {
    match begun.has_begun() {
        true => {
            "run the same command again, which goes on, or add --abort, which takes back what it did"
        }
        false => "it had changed nothing yet",
    }
}
