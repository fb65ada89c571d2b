//! A shell process that stops a server and removes its files when this process ends or is killed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::run::last_lines;
use crate::{Error, ErrorKind};

/// A shell script that cleans up when the pipe from this process closes.
///
/// The pipe closes when this value is dropped, or when the kernel ends this
/// process. The shell has a process group of its own, so that Ctrl-C in a
/// terminal reaches this process alone, which can then stop the server cleanly.
#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    log: File,
}

impl Watchdog {
    /// Runs a script of this crate. `shell` is the command of a shell, as the
    /// user that is to run the script. The script's standard error goes to `log`.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub(crate) fn spawn<'a>(
        mut shell: Command,
        script: &str,
        arguments: impl IntoIterator<Item = &'a str>,
        log: File,
    ) -> Result<Self, Error> {
        let failure = "could not start the shell that watches over the server";
        let stderr = log
            .try_clone()
            .map_err(|error| Error::new(ErrorKind::System, failure).with_source(error))?;
        shell
            .args(["-c", script, "stagelink-watchdog"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0);
        let mut child = tokio::process::Command::from(shell)
            .spawn()
            .map_err(|error| Error::new(ErrorKind::Process, failure).with_source(error))?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            child,
            log,
        })
    }

    /// Sends a line to the script. Ignores a script that has ended: its exit
    /// status says more than the failed write.
    pub(crate) async fn send_line(&mut self, line: &str) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(format!("{line}\n").as_bytes()).await;
            let _ = stdin.flush().await;
        }
    }

    /// Waits for the script's next line. Returns `None` if the script has failed and ended.
    pub(crate) async fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stdout.as_mut()?.read_line(&mut line).await;
        read.is_ok_and(|length| length > 0).then_some(line)
    }

    /// Returns the pipe to the script. The server ends with the last process that holds it.
    pub(crate) fn into_pipe(self) -> Option<io::Result<OwnedFd>> {
        self.stdin.map(ChildStdin::into_owned_fd)
    }

    /// Returns the exit status of the script, if it has ended.
    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Closes the pipe and waits until the script has cleaned up. Returns its
    /// exit status, or `None` if it did not end within `limit`.
    pub(crate) async fn close(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.stdin = None;
        timeout(limit, self.child.wait()).await.ok()?.ok()
    }

    /// Returns the last lines of the log, as the cause of an error.
    pub(crate) fn log_tail(&self) -> String {
        let length = self.log.metadata().map_or(0, |metadata| metadata.len());
        let mut text = vec![0; length.min(LOG_TAIL_BYTES) as usize];
        match self
            .log
            .read_exact_at(&mut text, length.saturating_sub(LOG_TAIL_BYTES))
        {
            Ok(()) => last_lines(&String::from_utf8_lossy(&text)),
            Err(error) => format!("could not read the log: {error}"),
        }
    }
}

/// The POSIX shell.
pub(crate) const SHELL: &str = "/bin/sh";

/// The script that runs a server as a process of this machine.
pub(crate) const PROCESS_SCRIPT: &str = include_str!("watchdog.sh");

const LOG_TAIL_BYTES: u64 = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn spawn<const N: usize>(arguments: [&str; N]) -> Watchdog {
        let log = tempfile::tempfile().unwrap();
        Watchdog::spawn(Command::new(SHELL), PROCESS_SCRIPT, arguments, log).unwrap()
    }

    /// A shell's background command ignores SIGQUIT, as a server does before it
    /// has installed its handlers.
    #[tokio::test]
    async fn command_that_ignores_its_signal_is_ended() {
        let mut watchdog = spawn(["", "QUIT", "sleep", "1000"]);
        assert!(watchdog.next_line().await.is_some());
        watchdog.send_line("start").await;
        assert!(watchdog.close(LIMIT).await.is_some());
    }

    #[tokio::test]
    async fn command_that_was_shut_down_can_be_started_again() {
        let directory = tempfile::tempdir().unwrap();
        let started = directory.path().join("started");
        let waits = format!(
            "trap 'kill $!; exit 0' TERM; sleep 1000 & echo started >{}; wait",
            started.display()
        );
        let status = Command::new("mkfifo").arg(&started).status();
        assert!(status.unwrap().success());
        let mut watchdog = spawn(["", "QUIT", SHELL, "-c", &waits]);
        assert!(watchdog.next_line().await.is_some());
        for _ in 0..2 {
            watchdog.send_line("start").await;
            let line = tokio::fs::read_to_string(&started).await.unwrap();
            assert_eq!(line, "started\n");
            watchdog.send_line("end").await;
            assert!(watchdog.next_line().await.is_some());
        }
        assert!(watchdog.close(LIMIT).await.unwrap().success());
    }

    #[tokio::test]
    async fn command_that_fails_is_reported_with_its_log() {
        let mut watchdog = spawn(["", "INT", SHELL, "-c", "echo broken >&2; exit 3"]);
        watchdog.send_line("start").await;
        assert_eq!(watchdog.child.wait().await.unwrap().code(), Some(3));
        assert_eq!(watchdog.try_wait().unwrap().code(), Some(3));
        assert_eq!(watchdog.log_tail(), "broken");
    }

    const LIMIT: Duration = Duration::from_secs(20);
}
