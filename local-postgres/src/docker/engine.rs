//! The `docker` command line, which honors Docker contexts and `DOCKER_HOST`.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::time::timeout;

use crate::options::ProgressListener;
use crate::run::{last_lines, run_within};
use crate::{Error, ErrorKind};

/// A Docker engine that has answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DockerEngine(());

/// Heroku's default version is 17 (2026-04).
pub(crate) const DEFAULT_IMAGE: &str = "postgres:17";

impl DockerEngine {
    /// Checks that the `docker` command exists and its engine answers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if one of them does not.
    pub(crate) async fn find() -> Result<Self, Error> {
        let mut version = Command::new("docker");
        version.args(["version", "--format", "{{.Server.Version}}"]);
        let Err(error) = run_within(ANSWER_LIMIT, version, "docker version failed").await else {
            return Ok(Self(()));
        };
        if error.kind() == ErrorKind::Missing {
            let message = "command docker not found; install Docker";
            return Err(Error::new(ErrorKind::Missing, message));
        }
        let message = "the Docker engine does not answer; start it";
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Err(Error::new(ErrorKind::Missing, message).with_source(cause.unwrap_or_default()))
    }

    /// Pulls an image if the engine does not have it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if the pull fails.
    pub(crate) async fn pull_if_missing(
        self,
        image: &str,
        progress: &ProgressListener,
    ) -> Result<(), Error> {
        let inspect = ["image", "inspect", "--format", "{{.Id}}", image];
        if self.run(&inspect, "").await.is_ok() {
            return Ok(());
        }
        progress.report(format!("fetching {image} from its Docker registry"));
        let failed = || {
            Error::new(
                ErrorKind::Missing,
                format!("the Docker engine does not have the image {image} and could not pull it"),
            )
        };
        match timeout(PULL_LIMIT, pull(image, progress)).await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(stderr))) => Err(failed().with_source(stderr)),
            Ok(Err(error)) => Err(failed().with_source(error)),
            Err(_) => {
                Err(failed().with_source(format!("timed out after {} s", PULL_LIMIT.as_secs())))
            }
        }
    }

    /// Runs one docker command and returns its standard output.
    pub(super) async fn run(self, arguments: &[&str], failure: &str) -> Result<String, Error> {
        let mut command = Command::new("docker");
        command.args(arguments);
        run_within(COMMAND_LIMIT, command, failure).await
    }

    /// Returns the last lines of a container's log.
    pub(super) async fn log_tail(self, container: &str) -> String {
        let mut command = tokio::process::Command::new("docker");
        command
            .args(["logs", "--tail", "30", container])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        match timeout(COMMAND_LIMIT, command.output()).await {
            Ok(Ok(output)) => {
                let log = [output.stdout, output.stderr].concat();
                last_lines(&String::from_utf8_lossy(&log))
            }
            _ => "could not read the container's log".to_owned(),
        }
    }

    /// Returns the data directory of an image: its environment variable `PGDATA`.
    pub(super) async fn image_pgdata(self, image: &str) -> Result<String, Error> {
        let failure = format!("could not read the environment of the image {image}");
        let arguments = [
            "image",
            "inspect",
            "--format",
            "{{json .Config.Env}}",
            image,
        ];
        let environment = self.run(&arguments, &failure).await?;
        serde_json::from_str::<Value>(&environment)
            .ok()
            .and_then(|variables| {
                let variables = variables.as_array()?.iter().filter_map(Value::as_str);
                variables
                    .filter_map(|variable| variable.strip_prefix("PGDATA="))
                    .map(str::to_owned)
                    .next()
            })
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Input,
                    format!(
                        "could not keep the databases of the image {image}: it does not set \
                         PGDATA, as the official image does"
                    ),
                )
            })
    }
}

/// Pulls an image. Returns the standard error of `docker pull` if it fails.
async fn pull(image: &str, progress: &ProgressListener) -> std::io::Result<Option<String>> {
    let mut child = tokio::process::Command::new("docker")
        .args(["pull", image])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let report = async {
        let Some(stdout) = stdout else { return Ok(()) };
        let mut lines = BufReader::new(stdout).lines();
        let (mut layers, mut done) = (0, 0);
        while let Some(line) = lines.next_line().await? {
            layers += u32::from(line.ends_with("Pulling fs layer"));
            if line.ends_with("Pull complete") {
                done += 1;
                progress.report(format!("fetching {image}: {done} of {layers} layers"));
            }
        }
        std::io::Result::Ok(())
    };
    let read_stderr = async {
        let mut text = String::new();
        if let Some(mut stderr) = stderr {
            stderr.read_to_string(&mut text).await?;
        }
        std::io::Result::Ok(text)
    };
    let (reported, stderr, status) = tokio::join!(report, read_stderr, child.wait());
    reported?;
    Ok((!status?.success()).then_some(last_lines(&stderr?)))
}

/// A running engine answers in milliseconds, a sleeping virtual machine in a few seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The official image has about 150 MB, compressed (2026).
const PULL_LIMIT: Duration = Duration::from_secs(900);
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
