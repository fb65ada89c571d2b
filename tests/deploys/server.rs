//! Server commands that run until they are stopped, with all of their child processes.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Running server of the CLI.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    group: Pid,
    output: JoinHandle<()>,
}

impl Server {
    /// Starts a command, and waits until its output says that it is ready.
    pub(crate) async fn start(command: std::process::Command, ready: &str) -> Self {
        let mut child = Command::from(command)
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        let group = i32::try_from(child.id().expect("it runs")).expect("an id");
        let output = child.stdout.take().expect("its output");
        let mut server = Self {
            child,
            group: Pid::from_raw(group),
            output: tokio::spawn(async {}),
        };
        let mut lines = BufReader::new(output).lines();
        let wait = async {
            while let Some(line) = lines.next_line().await.expect("its output") {
                println!("{line}");
                if line.contains(ready) {
                    return;
                }
            }
            panic!("it ended");
        };
        let waited = timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("it did not print {ready:?}"));
        // Its further output must not block on a reader.
        server.output = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                println!("{line}");
            }
        });
        server
    }

    /// Stops it as Ctrl-C does, and waits for its end.
    pub(crate) async fn stop(mut self) {
        killpg(self.group, Signal::SIGINT).expect("it runs");
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it ends").expect("its end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Kills the rest after a failed test. It fails if no process is left.
        let _ = killpg(self.group, Signal::SIGKILL);
        self.output.abort();
    }
}

/// Time-out for the start, in which the functions may have to be built.
const PATIENCE: Duration = Duration::from_secs(600);
