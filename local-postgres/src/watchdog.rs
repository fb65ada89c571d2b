//! The process that ends a server when this one ends, however it ends.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::run::last_lines;
use crate::{Error, ErrorKind};

/// A shell that acts when the pipe from this process closes.
///
/// Dropping this value closes the pipe, and so does the kernel when this
/// process dies. It is in a process group of its own: a terminal's Ctrl-C
/// reaches this process alone, which can then shut down in order.
#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
    pipe: Option<ChildStdin>,
    said: Option<BufReader<ChildStdout>>,
    log: File,
}

impl Watchdog {
    /// Runs a script of this module in a shell; `shell` is the command to start
    /// one with, as the user that is to run it. All complaints go to `log`.
    ///
    /// Must be called in a tokio runtime.
    pub(crate) fn spawn<'a>(
        mut shell: Command,
        script: &str,
        arguments: impl IntoIterator<Item = &'a str>,
        log: File,
    ) -> Result<Self, Error> {
        let failure = "could not start the shell that watches over the Postgres server";
        let writer = log
            .try_clone()
            .map_err(|error| Error::new(ErrorKind::System, failure).because(error))?;
        shell
            .args(["-c", script, "stagelink-watchdog"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(writer)
            .process_group(0);
        let mut child = tokio::process::Command::from(shell)
            .spawn()
            .map_err(|error| Error::new(ErrorKind::Process, failure).because(error))?;
        Ok(Self {
            pipe: child.stdin.take(),
            said: child.stdout.take().map(BufReader::new),
            child,
            log,
        })
    }

    /// Sends the script a line. If the script has ended already, its end tells more.
    pub(crate) async fn tell(&mut self, word: &str) {
        if let Some(pipe) = &mut self.pipe {
            let _ = pipe.write_all(format!("{word}\n").as_bytes()).await;
            let _ = pipe.flush().await;
        }
    }

    /// Waits for the script's next line of output. Returns whether there was one:
    /// if not, the script has failed and ended.
    pub(crate) async fn hear(&mut self) -> bool {
        let mut line = String::new();
        if let Some(said) = &mut self.said {
            // A failure to read is no line, either.
            let _ = said.read_line(&mut line).await;
        }
        !line.is_empty()
    }

    /// How the script ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Closes the pipe and waits until the script has done its last duty.
    /// Returns how it ended, if it did within `limit`.
    pub(crate) async fn end(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.pipe = None;
        timeout(limit, self.child.wait()).await.ok()?.ok()
    }

    /// The end of the log, for the cause of an error.
    pub(crate) fn last_words(&self) -> String {
        let length = self.log.metadata().map_or(0, |metadata| metadata.len());
        let mut text = vec![0; length.min(LOG_TAIL_BYTES) as usize];
        match self
            .log
            .read_exact_at(&mut text, length.saturating_sub(LOG_TAIL_BYTES))
        {
            Ok(()) => last_lines(&String::from_utf8_lossy(&text)),
            Err(error) => format!("its log could not be read: {error}"),
        }
    }
}

/// The shell of every unix (POSIX).
pub(crate) const SHELL: &str = "/bin/sh";

const LOG_TAIL_BYTES: u64 = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Where commands in the background of a shell ignore SIGQUIT, as servers
    /// do until they handle it.
    #[tokio::test]
    async fn command_that_does_not_handle_its_signal_yet_is_ended() {
        let mut watchdog = Watchdog::spawn(
            Command::new(SHELL),
            include_str!("watchdog.sh"),
            ["", "QUIT", "sleep", "1000"],
            tempfile::tempfile().unwrap(),
        )
        .unwrap();
        assert!(watchdog.hear().await);
        watchdog.tell("start").await;
        assert!(watchdog.end(Duration::from_secs(20)).await.is_some());
    }

    #[tokio::test]
    async fn command_that_is_told_to_end_can_be_started_again() {
        let directory = tempfile::tempdir().unwrap();
        let started = directory.path().join("started");
        let waits = format!(
            "trap 'kill $!; exit 0' TERM; sleep 1000 & echo started >{}; wait",
            started.display()
        );
        let status = Command::new("mkfifo").arg(&started).status();
        assert!(status.unwrap().success());
        let mut watchdog = Watchdog::spawn(
            Command::new(SHELL),
            include_str!("watchdog.sh"),
            ["", "QUIT", SHELL, "-c", &waits],
            tempfile::tempfile().unwrap(),
        )
        .unwrap();
        assert!(watchdog.hear().await);
        for _ in 0..2 {
            watchdog.tell("start").await;
            assert_eq!(
                tokio::fs::read_to_string(&started).await.unwrap(),
                "started\n"
            );
            watchdog.tell("end").await;
            assert!(watchdog.hear().await);
        }
        assert!(
            watchdog
                .end(Duration::from_secs(20))
                .await
                .unwrap()
                .success()
        );
    }

    #[tokio::test]
    async fn command_that_ends_is_noticed_with_what_it_said() {
        let mut watchdog = Watchdog::spawn(
            Command::new(SHELL),
            include_str!("watchdog.sh"),
            ["", "INT", SHELL, "-c", "echo broken >&2; exit 3"],
            tempfile::tempfile().unwrap(),
        )
        .unwrap();
        watchdog.tell("start").await;
        assert_eq!(watchdog.child.wait().await.unwrap().code(), Some(3));
        assert_eq!(watchdog.ended().unwrap().code(), Some(3));
        assert_eq!(watchdog.last_words(), "broken");
    }
}
