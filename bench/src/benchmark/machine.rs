//! The machine that the benchmark ran on.

use std::process::Command;
use std::thread;

use serde::Serialize;

/// The machine and the versions of its programs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    pub(super) system: String,
    pub(super) processors: usize,
    pub(super) rust: String,
    pub(super) node: String,
    /// Description of the server that times were measured with.
    pub(super) postgres: String,
    /// `None` where no instructions were counted.
    pub(super) valgrind: Option<String>,
}

impl Machine {
    /// Describes this machine, with the description of the server.
    pub(super) fn this(postgres: &str, valgrind: Option<String>) -> Self {
        let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
        Self {
            system: format!("{system} on {processor}"),
            processors: thread::available_parallelism().map_or(1, usize::from),
            rust: version_of("rustc"),
            node: version_of("node"),
            postgres: postgres.to_owned(),
            valgrind,
        }
    }
}

/// Returns the version that a program prints, up to the details in brackets.
fn version_of(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    output.map_or_else(
        |_| "none".to_owned(),
        |output| {
            let text = String::from_utf8_lossy(&output.stdout);
            text.split('(').next().unwrap_or_default().trim().to_owned()
        },
    )
}
