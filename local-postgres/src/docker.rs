//! The `docker` command line, through which contexts and `DOCKER_HOST` hold.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::time::timeout;

use crate::Progress;
use crate::run::{last_lines, run_within};
use crate::{Error, ErrorKind};

/// A Docker engine that answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Docker(());

/// Heroku's default version is 17 (2026-04).
pub(crate) const DEFAULT_IMAGE: &str = "postgres:17";

impl Docker {
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if there is no `docker` or its engine does not answer.
    pub(crate) async fn find() -> Result<Self, Error> {
        let mut version = Command::new("docker");
        version.args(["version", "--format", "{{.Server.Version}}"]);
        match run_within(
            ANSWER_LIMIT,
            version,
            "its engine does not answer; start it",
        )
        .await
        {
            Ok(_) => Ok(Self(())),
            Err(error) if error.kind() == ErrorKind::Missing => Err(Error::new(
                ErrorKind::Missing,
                "there is no command docker; install Docker",
            )),
            Err(error) => {
                let what = "the engine of Docker does not answer; start it";
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                Err(Error::new(ErrorKind::Missing, what).because(cause.unwrap_or_default()))
            }
        }
    }

    /// Pulls an image if the engine does not have it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if it can not be had.
    pub(crate) async fn provide(&self, image: &str, progress: &Progress) -> Result<(), Error> {
        let inspect = ["image", "inspect", "--format", "{{.Id}}", image];
        if self.run(&inspect, "").await.is_ok() {
            return Ok(());
        }
        progress.tell(format!("fetching {image} from its Docker registry"));
        let failed = || {
            Error::new(
                ErrorKind::Missing,
                format!("the engine of Docker has no image {image} and could not pull it"),
            )
        };
        match timeout(PULL_LIMIT, pull(image, progress)).await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(complaint))) => Err(failed().because(complaint)),
            Ok(Err(error)) => Err(failed().because(error)),
            Err(_) => {
                Err(failed().because(format!("it took longer than {} s", PULL_LIMIT.as_secs())))
            }
        }
    }

    /// Runs one command and returns what it printed.
    pub(crate) async fn run(&self, arguments: &[&str], failure: &str) -> Result<String, Error> {
        let mut command = Command::new("docker");
        command.args(arguments);
        run_within(COMMAND_LIMIT, command, failure).await
    }

    /// The end of what a container said.
    pub(crate) async fn last_words(&self, container: &str) -> String {
        let mut command = tokio::process::Command::new("docker");
        command
            .args(["logs", "--tail", "30", container])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        match timeout(COMMAND_LIMIT, command.output()).await {
            Ok(Ok(output)) => {
                let said = [output.stdout, output.stderr].concat();
                last_lines(&String::from_utf8_lossy(&said))
            }
            _ => "its log could not be read".to_owned(),
        }
    }

    /// Where the server of an image keeps its data: what it says in `PGDATA`.
    pub(crate) async fn data_directory(&self, image: &str) -> Result<String, Error> {
        let failure = format!("could not read the settings of the image {image}");
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
                        "could not keep the databases of the image {image}: it does not say \
                         in PGDATA where they are, as the official image does"
                    ),
                )
            })
    }
}

/// Pulls an image; returns the engine's complaint if it could not.
async fn pull(image: &str, progress: &Progress) -> std::io::Result<Option<String>> {
    let mut child = tokio::process::Command::new("docker")
        .args(["pull", image])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let follow = async {
        let Some(stdout) = stdout else { return Ok(()) };
        let mut lines = BufReader::new(stdout).lines();
        let (mut layers, mut done) = (0, 0);
        while let Some(line) = lines.next_line().await? {
            layers += u32::from(line.ends_with("Pulling fs layer"));
            if line.ends_with("Pull complete") {
                done += 1;
                progress.tell(format!("fetching {image}: {done} of {layers} layers"));
            }
        }
        std::io::Result::Ok(())
    };
    let complaint = async {
        let mut text = String::new();
        if let Some(mut stderr) = stderr {
            stderr.read_to_string(&mut text).await?;
        }
        std::io::Result::Ok(text)
    };
    let (followed, complaint, status) = tokio::join!(follow, complaint, child.wait());
    followed?;
    Ok((!status?.success()).then_some(last_lines(&complaint?)))
}

/// An engine that runs answers in milliseconds; one that sleeps in a virtual
/// machine in a few seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The official image has about 150 MB, compressed (2026).
const PULL_LIMIT: Duration = Duration::from_secs(900);
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
