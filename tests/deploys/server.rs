//! A command that runs until it is told to end, with all that it starts.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A server of the CLI that runs.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    group: Pid,
    output: JoinHandle<()>,
}

impl Server {
    /// Starts a command, and waits until it writes that it is ready.
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
        waited.unwrap_or_else(|_| panic!("it did not say {ready:?}"));
        // Whoever writes more must not wait for a reader.
        server.output = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                println!("{line}");
            }
        });
        server
    }

    /// Ends it as Ctrl-C does, and waits for that.
    pub(crate) async fn stop(mut self) {
        killpg(self.group, Signal::SIGINT).expect("it runs");
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it ends").expect("its end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What is left of it, after a test that failed. It fails where nothing is.
        let _ = killpg(self.group, Signal::SIGKILL);
        self.output.abort();
    }
}

/// The functions may have to be built first.
const PATIENCE: Duration = Duration::from_secs(600);
