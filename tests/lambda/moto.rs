//! moto: AWS's control plane on this machine, without persistent state.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::tools::{command, tools};

/// Running moto with a role for functions, and the configuration with which the AWS CLI uses it.
pub(crate) struct Moto {
    url: String,
    folder: tempfile::TempDir,
    _server: Child,
}

impl Moto {
    pub(crate) async fn start() -> Self {
        let mut server = command("moto_server")
            .await
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto starts");
        let mut lines = BufReader::new(server.stderr.take().expect("its output")).lines();
        let url = loop {
            let line = lines.next_line().await.expect("its output can be read");
            let line = line.expect("moto says where it listens");
            if let Some((_, url)) = line.split_once("Running on ") {
                break url.trim().to_owned();
            }
        };
        // Unread output would fill the pipe and block it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let moto = Self {
            url,
            folder: tempfile::tempdir().expect("a folder"),
            _server: server,
        };
        moto.record_arguments().await;
        let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
        let role = ["iam", "create-role", "--role-name", "function"];
        moto.aws(&[&role[..], &["--assume-role-policy-document", trust]].concat())
            .await;
        moto
    }

    /// Returns moto's own address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the ARN of the role for functions.
    pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/function";

    /// Runs the AWS CLI and parses its output.
    pub(crate) async fn aws(&self, arguments: &[&str]) -> Value {
        let result = self.ask(arguments).await;
        result.unwrap_or_else(|errors| panic!("aws {arguments:?}: {errors}"))
    }

    /// Runs the AWS CLI, and returns its parsed output, or what it wrote to standard error.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> Result<Value, String> {
        let mut command = command("aws").await;
        self.configure(&mut command).await;
        let output = command.args(arguments).output().await.expect("aws runs");
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).unwrap_or_default()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Returns a function's configuration behind one of its aliases.
    pub(crate) async fn function(&self, name: &str, alias: &str) -> Value {
        let ask = ["lambda", "get-function-configuration", "--function-name"];
        self.aws(&[&ask[..], &[name, "--qualifier", alias]].concat())
            .await
    }

    /// Returns all arguments of the AWS CLI's runs: `ps` would have shown these.
    pub(crate) fn arguments(&self) -> String {
        fs::read_to_string(self.path("arguments")).unwrap_or_default()
    }

    /// Returns the temporary files that are left.
    pub(crate) fn temporary_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("tmp")).expect("a folder");
        entries.map(|entry| entry.expect("a file").path()).collect()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Configures the AWS CLI, or a command that runs it.
    pub(crate) async fn configure(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env(
                "PATH",
                format!("{}:{}:{path}", self.path("bin"), tools().await.display()),
            )
            .env("TMPDIR", self.path("tmp"))
            .env("HOME", self.path("home"))
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // The `aws` of a command that is killed goes on: it must not send its request again a minute later.
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_ACCESS_KEY_ID", "made-up")
            .env("AWS_SECRET_ACCESS_KEY", "made-up")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_DEFAULT_REGION", "eu-west-1");
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE"] {
            command.env_remove(name);
        }
    }

    /// Puts an `aws` first on the PATH that records its arguments and runs the real one.
    async fn record_arguments(&self) {
        for folder in ["bin", "tmp", "home"] {
            fs::create_dir(self.path(folder)).expect("a folder");
        }
        let script = format!(
            "#!/bin/sh\necho \"$*\" >>'{}'\nexec '{}/aws' \"$@\"\n",
            self.path("arguments"),
            tools().await.display()
        );
        // A program that another test starts meanwhile may hold a file that this process writes, and a file
        // that is held cannot be run: another process writes it.
        fs::write(self.path("aws"), script).expect("a file");
        let copied = Command::new("install")
            .args(["-m", "755", &self.path("aws"), &self.path("bin")])
            .status();
        assert!(copied.await.expect("install runs").success());
    }
}
