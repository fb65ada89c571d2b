//! The lock file of a new project as cargo keeps it, so that the first build changes nothing that was committed.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::functions;
use crate::operator_secrets;
use crate::outer_cargo;
use crate::output::note;
use crate::progress::Step;

/// Has cargo complete the lock file of a project: it leaves out the packages that the project does not use, and adds
/// the project's own. Versions that the file has stay as they are. What cargo has not yet is downloaded if
/// `may_download`. Where it fails a note says so, since the project is complete without it.
pub(super) async fn complete(project: &Path, may_download: bool) {
    let step = Step::begin("lock file");
    let mut failed = String::new();
    // What is cached answers at once, and without a network.
    let ways: &[&[&str]] = match may_download {
        true => &[&["--offline"], &[]],
        false => &[&["--offline"]],
    };
    for options in ways {
        match update(project, options).await {
            Ok(()) => return step.done("Cargo.lock is as cargo keeps it"),
            Err(reason) => failed = reason,
        }
    }
    drop(step);
    note(format_args!(
        "  ! cargo could not complete Cargo.lock, so the first build changes it: commit it then, before a deploy \
         ({failed})"
    ));
}

async fn update(project: &Path, options: &[&str]) -> Result<(), String> {
    let mut command = std::process::Command::new(functions::cargo());
    operator_secrets::withhold(&mut command);
    outer_cargo::forget(&mut command);
    command
        .args(["update", "--workspace", "--quiet"])
        .args(options)
        .current_dir(project)
        .stdin(Stdio::null());
    let ran = Command::from(command).kill_on_drop(true).output().await;
    let output = ran.map_err(|error| format!("cargo did not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let first = words.lines().find(|line| !line.trim().is_empty());
    Err(first.unwrap_or("it gave no reason").trim().to_owned())
}
