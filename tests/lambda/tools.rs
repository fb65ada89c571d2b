//! Tools that are installed once, and commands that find them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use stagelink_cli::outer_cargo;
use stagelink_tests::{root, run_command, target_folder};
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
            let mut install = Command::new(root().join("tests/lambda/install"));
            let installed = run_command(install.arg(target_folder().join("tools"))).await;
            installed.trim().into()
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
    outer_cargo::forget(command.as_std_mut());
    command
}
