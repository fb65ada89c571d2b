//! One process of a function, with everything that it starts.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncRead;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::config::{FunctionConfig, LogStream};
use super::environment::environment;
use super::lines;
use crate::{Error, ErrorKind};

/// A running process that leads a group of its own: a terminal's Ctrl-C does
/// not reach it, and what it starts ends with it. Dropping it kills the group.
pub(super) struct Process {
    child: Child,
    id: u32,
    output: JoinSet<()>,
}

/// How a process is asked to end before it is killed.
#[derive(Clone, Copy)]
pub(super) enum Farewell {
    /// Killed at once.
    None,
    /// Left alone for [`GRACE`]: it is about to end by itself.
    Wait,
    /// Sent SIGTERM and given [`GRACE`].
    Terminate,
}

impl Process {
    /// Starts an instance of the function against the Runtime API at `endpoint`.
    pub(super) fn start(
        config: &Arc<FunctionConfig>,
        instance: usize,
        endpoint: &str,
    ) -> Result<Self, Error> {
        let failed = |kind, cause| {
            let (name, executable) = (&config.name, config.executable.display());
            Error::new(
                kind,
                format!("could not start function {name}: see that {executable} is a program"),
            )
            .because(cause)
        };
        let executable = std::path::absolute(&config.executable)
            .map_err(|cause| failed(ErrorKind::Input, cause))?;
        let mut child = Command::new(&executable)
            .env_clear()
            .envs(environment(config, &executable, endpoint, &log_stream()))
            .current_dir(executable.parent().unwrap_or(Path::new("/")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| failed(ErrorKind::Process, cause))?;
        let id = child
            .id()
            .expect("a child that nobody waited for has an id");
        let mut output = JoinSet::new();
        forward(
            &mut output,
            child.stdout.take(),
            config,
            instance,
            LogStream::Stdout,
        );
        forward(
            &mut output,
            child.stderr.take(),
            config,
            instance,
            LogStream::Stderr,
        );
        Ok(Self { child, id, output })
    }

    /// The process's id.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Waits until the process ends by itself. Cancel safe.
    pub(super) async fn exited(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends the process and all that it started, and forwards what they wrote.
    /// When it returns they are gone.
    pub(super) async fn end(&mut self, farewell: Farewell) {
        if let Farewell::Terminate = farewell {
            self.signal(Signal::SIGTERM);
        }
        if !matches!(farewell, Farewell::None) {
            let _ = timeout(GRACE, self.child.wait()).await;
        }
        // The group outlives its leader while anything that it started runs, so
        // it is killed even when the leader is gone. The system does not give
        // its id to another group while it has a member, and it hands ids out
        // in turn, so an empty group's id is not another's this soon.
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait().await;
        // A process that left the group may hold the pipes open for ever.
        let drained = async { while self.output.join_next().await.is_some() {} };
        let _ = timeout(GRACE, drained).await;
        self.output.abort_all();
    }

    fn signal(&self, signal: Signal) {
        if let Ok(group) = i32::try_from(self.id) {
            // It fails only when the group is already gone.
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Once the leader was waited for, the rest was killed by `end`.
        if self.child.id().is_some() {
            self.signal(Signal::SIGKILL);
        }
    }
}

fn forward(
    tasks: &mut JoinSet<()>,
    output: Option<impl AsyncRead + Unpin + Send + 'static>,
    config: &Arc<FunctionConfig>,
    instance: usize,
    stream: LogStream,
) {
    if let Some(output) = output {
        let config = Arc::clone(config);
        tasks.spawn(async move {
            lines::forward(output, |line| config.log(instance, stream, line)).await;
        });
    }
}

/// The name of a new log stream, as CloudWatch forms it.
fn log_stream() -> String {
    let day = jiff::Timestamp::now().strftime("%Y/%m/%d");
    format!(
        "{day}/[{}]{}",
        super::config::VERSION,
        uuid::Uuid::new_v4().simple()
    )
}

/// How long a process may take to end. Lambda gives 0.5 s when it has internal
/// extensions alone and 2 s with external ones; a developer's machine under
/// load gets the longer.
const GRACE: Duration = Duration::from_secs(2);
