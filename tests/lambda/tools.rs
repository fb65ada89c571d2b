//! Tools that are installed once, and commands that find them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use stagelink_tests::root;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Returns the folder of the tools' programs.
///
/// # Panics
///
/// When they cannot be installed; the message says what is missing.
pub(crate) async fn tools() -> &'static Path {
    static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
    INSTALLED
        .get_or_init(|| async {
            let output = Command::new(root().join("tests/lambda/install"))
                .stdin(Stdio::null())
                .output()
                .await
                .expect("tests/lambda/install runs");
            assert!(
                output.status.success(),
                "tests/lambda/install failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8_lossy(&output.stdout).trim().into()
        })
        .await
}

/// Returns a command with the tools first on its PATH.
pub(crate) async fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command
        .env("PATH", format!("{}:{path}", tools().await.display()))
        .current_dir(root())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}
