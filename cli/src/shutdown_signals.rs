//! The signals that ask the command to end: SIGINT, SIGTERM and SIGHUP.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// The signals that ask this process to end. While one of these exists, and after it, they no longer
/// end the process by themselves.
pub(crate) struct ShutdownSignals {
    interrupt: Listener,
    terminate: Listener,
    hangup: Listener,
}

/// A signal, `None` where this process was started with it ignored, as `nohup` does with SIGHUP.
type Listener = Option<tokio::signal::unix::Signal>;

impl ShutdownSignals {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// When the system refuses it.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Self::listen_beside(ignored_signals())
    }

    /// Starts to listen for a command that serves until it is ended. A shell has SIGINT ignored in what a
    /// script starts in the background; the script ends it by that signal all the same.
    ///
    /// # Errors
    ///
    /// When the system refuses it.
    pub(crate) fn listen_in_a_server() -> anyhow::Result<Self> {
        Self::listen_beside(ignored_signals() & !bit(SignalKind::interrupt()))
    }

    fn listen_beside(ignored: u64) -> anyhow::Result<Self> {
        let listen = |kind: SignalKind| -> anyhow::Result<Listener> {
            if ignored & bit(kind) != 0 {
                return Ok(None);
            }
            let listener = signal(kind).context("could not listen for signals")?;
            Ok(Some(listener))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next of them. Cancel safe.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            () = received(&mut self.interrupt) => Signal::SIGINT,
            () = received(&mut self.terminate) => Signal::SIGTERM,
            () = received(&mut self.hangup) => Signal::SIGHUP,
        }
    }

    /// Waits until all is stopped that a first signal has asked to stop.
    ///
    /// # Errors
    ///
    /// When it cannot be stopped, or another signal comes: then what still runs ends with this process.
    pub(crate) async fn until_stopped(
        &mut self,
        stop: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let another = async {
            loop {
                let signal = self.next().await;
                if begun.elapsed() >= SAME_KEY {
                    return signal;
                }
            }
        };
        tokio::select! {
            stopped = stop => stopped,
            signal = another => bail!("{signal} came before everything had stopped in order"),
        }
    }
}

/// The time in which a second signal is of the same Ctrl-C or closed terminal: npm and shells pass theirs on to
/// what they run, which has got it already.
const SAME_KEY: Duration = Duration::from_secs(1);

async fn received(listener: &mut Listener) {
    match listener {
        Some(listener) => {
            listener.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Returns the exit code of a process that a signal has ended, as a shell has it.
pub(crate) fn exit_code(signal: Signal) -> u8 {
    u8::try_from(128 + signal as i32).unwrap_or(1)
}

fn bit(kind: SignalKind) -> u64 {
    1 << (kind.as_raw_value() - 1)
}

/// Returns the signals that this process ignores, as a bit for each; none where the system does not
/// say so as Linux does.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    #[tokio::test]
    async fn second_signal_ends_a_stop_that_lasts() {
        let mut signals = ShutdownSignals::listen().unwrap();
        // The first one twice, as npm passes it on.
        raise(Signal::SIGINT).unwrap();
        let stop = async {
            tokio::time::sleep(SAME_KEY * 2).await;
            raise(Signal::SIGTERM).unwrap();
            std::future::pending().await
        };
        let error = signals.until_stopped(stop).await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains("SIGTERM came before"), "{error}");
        assert!(signals.until_stopped(async { Ok(()) }).await.is_ok());
    }
}
