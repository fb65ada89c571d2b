//! One process of a function, with its child processes.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncRead;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::config::LogStream;
use super::environment::environment;
use super::lines;
use super::observer::InstanceLog;
use crate::{Error, ErrorKind};

/// A running process that leads a process group of its own, so that a terminal's Ctrl-C does not
/// reach it and its child processes end with it. Dropping it kills the group.
pub(super) struct Process {
    child: Child,
    id: u32,
    output: JoinSet<()>,
    /// Second ends of the pipes that `output` reads.
    pipes: Vec<OwnedFd>,
}

/// The way to end a process. Whatever is left of it is killed afterwards.
#[derive(Clone, Copy)]
pub(super) enum Shutdown {
    /// Kill it at once.
    Kill,
    /// Give it [`GRACE_PERIOD`] to end by itself.
    Wait,
    /// Send SIGTERM and give it [`GRACE_PERIOD`].
    Terminate,
}

impl Process {
    /// Starts a process of the function that uses the Runtime API at `endpoint`.
    pub(super) async fn start(log: &InstanceLog, endpoint: &str) -> Result<Self, Error> {
        let config = &*log.config;
        let failed = |kind, cause| {
            let (name, executable) = (&config.name, config.executable.display());
            Error::new(
                kind,
                format!("could not start the function {name}: check that {executable} is an executable program"),
            )
            .with_source(cause)
        };
        let executable = std::path::absolute(&config.executable)
            .map_err(|cause| failed(ErrorKind::Input, cause))?;
        let mut command = Command::new(&executable);
        command
            .env_clear()
            .envs(environment(
                config,
                &executable,
                endpoint,
                &new_log_stream_name(),
            ))
            .current_dir(executable.parent().unwrap_or(Path::new("/")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = spawn(&mut command).await;
        let mut child = child.map_err(|cause| failed(ErrorKind::Process, cause))?;
        let id = child
            .id()
            .expect("a child that was not waited for has an id");
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let pipes = [second_end(stdout.as_ref()), second_end(stderr.as_ref())];
        let mut output = JoinSet::new();
        forward_output(&mut output, stdout, log, LogStream::Stdout);
        forward_output(&mut output, stderr, log, LogStream::Stderr);
        Ok(Self {
            child,
            id,
            output,
            pipes: pipes.into_iter().flatten().collect(),
        })
    }

    /// Waits until what the process has written so far is read, for a moment at most: it may go on
    /// writing. Cancel safe.
    pub(super) async fn output_is_read(&self) {
        let read = async {
            while self.pipes.iter().any(has_output) {
                sleep(READ_AGAIN).await;
            }
        };
        let _ = timeout(LONGEST_READ, read).await;
    }

    /// Id of the process.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Waits until the process ends by itself. Cancel safe.
    pub(super) async fn exited(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends the process with its child processes, and forwards the rest of their output. When it
    /// returns, they are gone.
    pub(super) async fn shut_down(&mut self, shutdown: Shutdown) {
        if let Shutdown::Terminate = shutdown {
            self.signal(Signal::SIGTERM);
        }
        if !matches!(shutdown, Shutdown::Kill) {
            let _ = timeout(GRACE_PERIOD, self.child.wait()).await;
        }
        // The group outlives its leader while a child process runs, so it is killed even if the
        // leader is gone. The system does not reuse a group's id while the group has a member,
        // and it assigns ids in turn, so this id cannot belong to another group so soon.
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait().await;
        // A child process that left the group may keep the pipes open for ever.
        let drained = async { while self.output.join_next().await.is_some() {} };
        let _ = timeout(GRACE_PERIOD, drained).await;
        self.output.abort_all();
    }

    fn signal(&self, signal: Signal) {
        if let Ok(group) = i32::try_from(self.id) {
            // This fails only if the group is already gone.
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // If the leader was waited for, `shut_down` has killed the rest.
        if self.child.id().is_some() {
            self.signal(Signal::SIGKILL);
        }
    }
}

/// Starts a process. A program that was just written may be busy for a moment: another process that
/// is being started has its file open until it runs its own program.
async fn spawn(command: &mut Command) -> std::io::Result<Child> {
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                sleep(BUSY_PAUSE).await;
            }
            result => return result,
        }
    }
    command.spawn()
}

/// Returns another end of a pipe, which shows whether the pipe is empty. `None` if the system has none left.
fn second_end(pipe: Option<&impl AsFd>) -> Option<OwnedFd> {
    pipe?.as_fd().try_clone_to_owned().ok()
}

fn has_output(pipe: &OwnedFd) -> bool {
    let mut pipes = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    let polled = poll(&mut pipes, PollTimeout::ZERO).is_ok();
    polled
        && pipes[0]
            .revents()
            .is_some_and(|found| found.contains(PollFlags::POLLIN))
}

fn forward_output(
    tasks: &mut JoinSet<()>,
    output: Option<impl AsyncRead + Unpin + Send + 'static>,
    log: &InstanceLog,
    stream: LogStream,
) {
    if let Some(output) = output {
        let log = log.clone();
        tasks.spawn(async move {
            lines::forward_lines(output, |line| log.line(stream, line)).await;
        });
    }
}

/// Creates a log stream name in CloudWatch's format.
fn new_log_stream_name() -> String {
    let day = jiff::Timestamp::now().strftime("%Y/%m/%d");
    format!(
        "{day}/[{}]{}",
        super::config::VERSION,
        uuid::Uuid::new_v4().simple()
    )
}

/// Time that a process has to end by itself. Lambda gives 0.5 s with internal extensions only and
/// 2 s with external ones; a loaded developer's machine gets the longer time.
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// The longest time that the next event waits for the output of the invocation before: far more than a read
/// takes.
const LONGEST_READ: Duration = Duration::from_millis(50);
const READ_AGAIN: Duration = Duration::from_millis(1);

const BUSY_TRIES: u32 = 20;

const BUSY_PAUSE: Duration = Duration::from_millis(5);
