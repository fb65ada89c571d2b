//! Child processes that end with the command: each has a process group, which is killed when its
//! owner is dropped.

use std::io;
use std::process::{ExitStatus, Output, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// A child process with all that it starts, such as cargo with its compilers. It does not share the
/// terminal, so Ctrl-C reaches it by this command alone.
pub(crate) struct ProcessGroup {
    pub(crate) child: Child,
    /// `None` where the system gives an id that is no process's.
    id: Option<Pid>,
}

impl ProcessGroup {
    /// Starts a program.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            child,
            id: id.map(Pid::from_raw),
        })
    }

    /// Waits for the end of the program. Cancel safe.
    ///
    /// # Errors
    ///
    /// When the system does not tell how it ended.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // Once the program was waited for, the id may be another group's.
        if let (Some(_), Some(group)) = (self.child.id(), self.id) {
            // This fails only if the group is already gone.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Runs a program to its end, and returns what it wrote. Dropping the future kills it with all that
/// it has started.
///
/// # Errors
///
/// When it cannot be started, or its output cannot be read.
pub(crate) async fn output(command: &mut Command) -> io::Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut group = ProcessGroup::start(command)?;
    let (stdout, stderr) = (group.child.stdout.take(), group.child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(read(stdout), read(stderr))?;
    Ok(Output {
        status: group.wait().await?,
        stdout,
        stderr,
    })
}

async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        tokio::io::AsyncReadExt::read_to_end(&mut pipe, &mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::kill;
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn dropped_group_ends_with_what_its_program_has_started() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "sleep 600 & echo $!; wait"])
            .stdout(Stdio::piped());
        let mut group = ProcessGroup::start(&mut command).unwrap();
        let stdout = group.child.stdout.take().unwrap();
        let line = BufReader::new(stdout).lines().next_line().await.unwrap();
        let grandchild = Pid::from_raw(line.unwrap().parse().unwrap());
        assert_eq!(kill(grandchild, None), Ok(()));
        drop(group);
        let is_gone = async {
            while is_running(grandchild) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), is_gone)
            .await
            .expect("it ends");
    }

    /// Returns whether a process is there and not only waited for by its parent.
    fn is_running(process: Pid) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        match stat.rsplit_once(") ") {
            Some((_, state)) => !state.starts_with(['Z', 'X']),
            None => false,
        }
    }

    #[tokio::test]
    async fn output_of_a_program_is_returned_with_its_status() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let output = output(&mut command).await.unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(
            (output.stdout, output.stderr),
            (b"out\n".to_vec(), b"err\n".to_vec())
        );
    }
}
