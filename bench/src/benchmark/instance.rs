//! A running process of a variant.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::artifact::Artifact;
use super::event::RequestKind;
use super::processor_time::processor_time_ms;
use super::runtime_api::{Batch, RuntimeApi, TimedAnswer};

/// A process of a variant and the Runtime API that it polls. Drop kills the process.
#[derive(Debug)]
pub(super) struct Instance {
    name: &'static str,
    child: Child,
    api: RuntimeApi,
    log: File,
    /// The moment before it was started.
    pub(super) began: Instant,
    /// Time from then to its first answer, where the start waited for one.
    pub(super) cold_start: Duration,
}

impl Instance {
    /// Starts a process with these variables and waits for its first answer.
    pub(super) fn start(
        artifact: &Artifact,
        variables: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        Self::start_under(&[], artifact, variables)
    }

    /// Starts the process as the last arguments of another program, and waits likewise.
    pub(super) fn start_under(
        wrapper: &[&OsStr],
        artifact: &Artifact,
        variables: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let mut instance = Self::spawn_under(wrapper, artifact, variables, 1)?;
        let first = instance.wait_for_rows()?;
        instance.cold_start = first.ended - instance.began;
        Ok(instance)
    }

    /// Starts a process with this many requests ready for it, and does not wait.
    pub(super) fn spawn(
        artifact: &Artifact,
        variables: &[(&'static str, String)],
        requests: usize,
    ) -> anyhow::Result<Self> {
        Self::spawn_under(&[], artifact, variables, requests)
    }

    fn spawn_under(
        wrapper: &[&OsStr],
        artifact: &Artifact,
        variables: &[(&'static str, String)],
        requests: usize,
    ) -> anyhow::Result<Self> {
        let name = artifact.variant.name();
        let api = RuntimeApi::open()?;
        let log = tempfile::tempfile()?;
        let mut words = wrapper.iter().copied().chain(artifact.command());
        let mut command = Command::new(words.next().context("there is no program to start")?);
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_LAMBDA_RUNTIME_API", api.address().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "item")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/item")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "1")
            .env("AWS_REGION", "us-east-1")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        api.offer(RequestKind::Item, requests);
        let began = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        Ok(Self {
            name,
            child,
            api,
            log,
            began,
            cold_start: Duration::ZERO,
        })
    }

    /// Has the process answer this many requests, one after the other.
    pub(super) fn run(&mut self, requests: usize) -> anyhow::Result<Batch> {
        self.api.offer(RequestKind::Item, requests);
        self.wait_for_rows()
    }

    /// Sends one request and returns any answer. `None` is no answer within the limit.
    pub(super) fn send(&mut self, kind: RequestKind, limit: Duration) -> Option<TimedAnswer> {
        self.offer(kind);
        self.wait_for_answers(limit).pop()
    }

    /// Makes one event ready for the process, and does not wait.
    pub(super) fn offer(&self, kind: RequestKind) {
        self.api.offer(kind, 1);
    }

    /// Waits for its answers to the offered events, of any kind. There are fewer answers than
    /// events where the process ended, or took longer than the limit.
    pub(super) fn wait_for_answers(&mut self, limit: Duration) -> Vec<TimedAnswer> {
        let child = &mut self.child;
        self.api
            .wait_for_answers(limit, || matches!(child.try_wait(), Ok(None)))
    }

    /// Returns whether the process is still running.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops the process at once, as Lambda freezes it between two requests.
    pub(super) fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Resumes the process.
    pub(super) fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Peak of its resident memory in bytes; `None` where the system does not report it.
    pub(super) fn peak_memory_bytes(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        peak_of(&fs::read_to_string(Path::new(&path)).ok()?)
    }

    /// The processor's time that it has taken so far, with the kernel's.
    pub(super) fn processor_time_ms(&self) -> anyhow::Result<f64> {
        processor_time_ms(self.child.id())
    }

    /// Ends the process as Lambda does, and waits until it is gone.
    pub(super) fn shut_down(mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)?;
        let deadline = Instant::now() + LIMIT;
        while self.child.try_wait()?.is_none() {
            anyhow::ensure!(Instant::now() < deadline, "{} does not end", self.name);
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).context("its id is no number of a process")?;
        Ok(kill(Pid::from_raw(id), signal)?)
    }

    fn wait_for_rows(&mut self) -> anyhow::Result<Batch> {
        let child = &mut self.child;
        let answers = self
            .api
            .wait_for_rows(LIMIT, || matches!(child.try_wait(), Ok(None)));
        answers.with_context(|| format!("{} failed; its log: {}", self.name, self.log_text()))
    }

    /// The last line of its log.
    pub(super) fn last_log_line(&self) -> String {
        let said = self.log_text();
        let line = said.lines().rfind(|line| !line.trim().is_empty());
        line.unwrap_or_default().trim().to_owned()
    }

    /// Its whole log.
    fn log_text(&self) -> String {
        let mut text = String::new();
        let mut log = &self.log;
        match log.rewind().and_then(|()| log.read_to_string(&mut text)) {
            Ok(0) => "nothing".to_owned(),
            Ok(_) => text,
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Fails only where the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the line `VmHWM` of a process's status on Linux, in units of 1,024 bytes.
fn peak_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Long enough for a start under callgrind, which is a hundred times slower.
const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read_from_the_status_of_a_process() {
        let status = "Name:\tcat\nVmPeak:\t  9000 kB\nVmHWM:\t    1780 kB\nVmRSS:\t  1700 kB\n";
        assert_eq!(peak_of(status), Some(1_822_720));
        assert_eq!(peak_of("Name:\tcat\n"), None);
    }
}
