//! A command that changes a stage and that a signal may stop: what it has started ends with it, the lease on
//! its stage is given back, and the operator reads what is live and how to go on.

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;
use stagelink_pipeline::{LeaseEnd, OrderlyStop};
use tokio::time::{sleep, timeout};

use crate::failure::{Failure, print_failure};
use crate::output::note;
use crate::planned_change::Begun;
use crate::shutdown_signals::{self, ShutdownSignals};

/// A command that a signal may stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stoppable {
    /// The command's name, as in `promotion`.
    pub(crate) name: &'static str,
    /// The way on once it has begun to change something.
    pub(crate) way_on: &'static str,
    /// True if its error is printed as JSON besides.
    pub(crate) is_json: bool,
}

impl Stoppable {
    /// A command whose next run goes on, and whose `--abort` takes back what it did.
    pub(crate) fn new(name: &'static str, is_json: bool) -> Self {
        Self {
            name,
            way_on: "run the same command again, which goes on, or add --abort, which takes back what it did",
            is_json,
        }
    }

    /// Runs the command until it ends or a signal stops it. The exit code is then 128 and the signal's
    /// number. The command notes when it begins to change something, and the stage.
    ///
    /// # Errors
    ///
    /// The command's error, which is printed as JSON besides, where that is wanted.
    pub(crate) async fn run(
        self,
        command: impl AsyncFnOnce(&Begun) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let mut signals = ShutdownSignals::listen()?;
        let (begun, stop) = (Begun::default(), OrderlyStop::default());
        let ended = self
            .until_stopped(&stop, &begun, command, &mut signals)
            .await;
        match ended {
            Ok(result) => {
                // The leases of a command that has failed are given back meanwhile.
                for end in lease_ends(&stop).await {
                    if end.held_since.is_some() {
                        note(format_args!("  {end}"));
                    }
                }
                if let Err(error) = &result
                    && self.is_json
                {
                    print_failure(&Failure::new(error));
                }
                result.map(|()| ExitCode::SUCCESS)
            }
            Err(signal) => {
                self.note_stopped(signal, &stop, &begun, &mut signals).await;
                Ok(ExitCode::from(shutdown_signals::exit_code(signal)))
            }
        }
    }

    /// Returns the command's result, or the signal that has stopped it. What the command has started ends
    /// with it.
    async fn until_stopped(
        self,
        stop: &OrderlyStop,
        begun: &Begun,
        command: impl AsyncFnOnce(&Begun) -> anyhow::Result<()>,
        signals: &mut ShutdownSignals,
    ) -> Result<anyhow::Result<()>, Signal> {
        let mut command = pin!(stop.watch(command(begun)));
        let signal = tokio::select! {
            result = &mut command => return Ok(result),
            signal = signals.next() => signal,
        };
        stop.request();
        // A change that is under way comes to its end, unless that takes long.
        tokio::select! {
            result = &mut command => Ok(result),
            () = stop.settled() => Err(signal),
            () = sleep(PATIENCE) => Err(signal),
            _ = signals.next() => Err(signal),
        }
    }

    /// Says what the operator has to know of a command that was stopped. Another signal ends it at once.
    async fn note_stopped(
        self,
        signal: Signal,
        stop: &OrderlyStop,
        begun: &Begun,
        signals: &mut ShutdownSignals,
    ) {
        let (name, way_on) = (self.name, self.way_on);
        let way_on = match begun.has_begun() {
            true => way_on,
            false => "it had changed nothing yet",
        };
        note(format_args!("the {name} was stopped by {signal}: {way_on}"));
        let tell = async {
            // The look comes after the ends, and finds the stage as they leave it.
            for end in lease_ends(stop).await {
                note(format_args!("  {end}"));
            }
            if let (true, Some(stage)) = (begun.has_begun(), begun.stage()) {
                match timeout(LOOK, stage.look()).await {
                    Ok(sentences) => {
                        for sentence in sentences {
                            note(format_args!("  {sentence}"));
                        }
                    }
                    Err(_) => note(
                        "  what is live could not be looked up in time: `stagelink status` tells it",
                    ),
                }
            }
        };
        tokio::select! {
            () = tell => {}
            _ = signals.next() => {}
        }
    }
}

/// Waits for the ends of the leases that the command has taken, as far as they come in time.
async fn lease_ends(stop: &OrderlyStop) -> Vec<LeaseEnd> {
    timeout(GIVE_BACK, stop.lease_ends())
        .await
        .unwrap_or_default()
}

/// The time for which a change that is under way is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time in which a database takes a lease back.
const GIVE_BACK: Duration = Duration::from_secs(10);

/// The time for the look at the stage.
const LOOK: Duration = Duration::from_secs(15);
