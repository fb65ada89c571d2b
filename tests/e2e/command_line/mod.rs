//! Options and output that all of `stagelink`'s commands share.

mod advice;
mod errors;
mod notes;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Output, Stdio};

use stagelink_tests::SmallProject;
use tokio::process::Command;

/// Creates a project with a function that compiles at once.
fn project() -> SmallProject {
    SmallProject::with(&[
        ("netlify.toml", "[build]\npublish = \"public\"\n"),
        ("public/index.html", "hello\n"),
    ])
}

async fn run(command: &Path, arguments: &[impl AsRef<OsStr>], folder: &Path) -> Output {
    Command::new(command)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the command runs")
}
