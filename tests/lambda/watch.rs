//! `cargo lambda watch`: cargo-lambda's emulator of AWS Lambda.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use stagelink_tests::CANARY;
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::tools::command;

/// Emulator that serves one function of the project, with these variables.
pub(crate) struct Watch {
    function: &'static str,
    port: u16,
    child: Child,
    folder: tempfile::TempDir,
}

impl Watch {
    pub(crate) async fn start(
        function: &'static str,
        variables: &BTreeMap<String, String>,
    ) -> Self {
        for _ in 0..4 {
            if let Ok(watch) = Self::start_at(free_port(), function, variables).await {
                return watch;
            }
        }
        // Another program may have taken the port each time.
        let started = Self::start_at(free_port(), function, variables).await;
        started.unwrap_or_else(|log| panic!("cargo lambda watch ended: {log}"))
    }

    /// Starts the emulator on a port. The error is its log, if it ends before it listens.
    async fn start_at(
        port: u16,
        function: &'static str,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a file");
        let mut child = command("cargo")
            .await
            .args([
                "lambda",
                "watch",
                "--ignore-changes",
                "-A",
                "127.0.0.1",
                "-P",
            ])
            .arg(port.to_string())
            // Cargo looks for a program by name only among the default members.
            .args(["--package", function])
            // A function needs no OpenSSL.
            .env("OPENSSL_DIR", "/nonexistent")
            .envs(variables)
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("cargo lambda starts");
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            let ended = child.try_wait().expect("it can be waited for");
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            if ended.is_some() {
                return Err(log);
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "it does not listen: {log}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self {
            function,
            port,
            child,
            folder,
        })
    }

    /// Returns the function's URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!(
            "http://127.0.0.1:{}/lambda-url/{}{path}",
            self.port, self.function
        )
    }

    /// Invokes the function by `cargo lambda invoke`.
    pub(crate) async fn invoke(&self, event: &Value) -> Value {
        let file = self.folder.path().join("event.json");
        fs::write(&file, event.to_string()).expect("a file");
        let output = command("cargo")
            .await
            .args(["lambda", "invoke", "-A", "127.0.0.1", "-P"])
            .arg(self.port.to_string())
            .arg("--data-file")
            .arg(&file)
            .arg(self.function)
            .output()
            .await
            .expect("cargo lambda runs");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{stdout}{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("not JSON: {stdout}"))
    }

    /// Returns the output of the emulator and its function, and checks that it contains no secret.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(!log.contains(CANARY), "a secret got out: {log}");
        log
    }

    /// Shuts down the emulator and its function.
    pub(crate) async fn end(mut self) {
        self.log();
        self.signal(Signal::SIGINT);
        let ended = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        assert!(
            ended.is_ok(),
            "cargo lambda watch does not end: {}",
            self.log()
        );
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may have exited already.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Watch {
    /// A killed emulator would leave its function running.
    fn drop(&mut self) {
        self.signal(Signal::SIGINT);
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None))
            && started.elapsed() < Duration::from_secs(10)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Returns a port that is free, below the range from which systems assign ports: no connection gets it by
/// chance. The emulator does not accept port 0, since it does not report the port that it would get.
fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut candidates = std::iter::repeat_with(|| fastrand::u16(20_000..32_000));
    candidates.find(is_free).expect("a port")
}
