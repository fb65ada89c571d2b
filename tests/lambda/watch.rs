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
        let folder = tempfile::tempdir().expect("a folder");
        // It does not accept port 0, since it does not report the port that it would get.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = free.local_addr().expect("a port").port();
        drop(free);
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
            assert!(ended.is_none(), "cargo lambda watch ended: {log}");
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "it does not listen: {log}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self {
            function,
            port,
            child,
            folder,
        }
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
