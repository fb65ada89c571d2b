//! A command that changes a stage and that a signal may stop: what it has started ends with it, the lease on
//! its stage is given back, and the operator reads what is live and how to go on.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use stagelink_pipeline::{LeaseEnd, OrderlyStop};
use tokio::task::JoinHandle;
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
        let backstop = Backstop::start(self.name)?;
        let (begun, stop) = (Begun::default(), OrderlyStop::default());
        let ended = self
            .until_stopped(&stop, &begun, command, &mut signals, &backstop)
            .await;
        drop(backstop);
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
        backstop: &Backstop,
    ) -> Result<anyhow::Result<()>, Signal> {
        let mut command = pin!(stop.watch(command(begun)));
        let signal = tokio::select! {
            result = &mut command => return Ok(result),
            signal = signals.next() => signal,
        };
        backstop.is_noticed.store(true, Ordering::Relaxed);
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

/// Ends the process where a command does not notice its signal, since a call of the system does not return: the
/// read of a pipe that no one writes to, or of a disk that gives no answer.
struct Backstop {
    is_noticed: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Backstop {
    fn start(name: &'static str) -> anyhow::Result<Self> {
        let mut signals = ShutdownSignals::listen()?;
        let is_noticed = Arc::new(AtomicBool::new(false));
        let noticed = Arc::clone(&is_noticed);
        // Another thread of the runtime has it, where the command blocks its own.
        let task = tokio::spawn(async move {
            let signal = signals.next().await;
            sleep(UNNOTICED).await;
            if !noticed.load(Ordering::Relaxed) {
                note(format_args!(
                    "the {name} was ended by {signal} while it waited for the system"
                ));
                std::process::exit(shutdown_signals::exit_code(signal).into());
            }
        });
        Ok(Self { is_noticed, task })
    }
}

impl Drop for Backstop {
    fn drop(&mut self) {
        self.task.abort();
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

/// The time in which a command that is not blocked has noticed a signal.
const UNNOTICED: Duration = Duration::from_secs(5);

/// The time in which a database takes a lease back.
const GIVE_BACK: Duration = Duration::from_secs(10);

/// The time for the look at the stage.
const LOOK: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::*;

    /// The work of a process of the test below; nothing in a run of all tests.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn blocked_process() {
        let Ok(pipe) = std::env::var(PIPE) else {
            return;
        };
        let command = Stoppable::new("deploy", false);
        let ended = command.run(async |_| {
            println!("\nbegun");
            // No one writes to it.
            std::fs::read(pipe)?;
            Ok(())
        });
        ended.await.unwrap();
    }

    #[test]
    fn signal_ends_a_command_that_a_read_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let mut blocked = Command::new(std::env::current_exe().unwrap())
            .args([
                "stoppable::tests::blocked_process",
                "--exact",
                "--nocapture",
            ])
            .env(PIPE, &pipe)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(blocked.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        assert!(lines.any(|line| line == "begun"), "the command begins");
        let process = Pid::from_raw(blocked.id().try_into().unwrap());
        kill(process, Signal::SIGTERM).unwrap();
        let output = blocked.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(143));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("the deploy was ended by SIGTERM"), "{said}");
    }

    /// Says to a process of this program which pipe it reads.
    const PIPE: &str = "BLOCKED_BY_PIPE";
}
