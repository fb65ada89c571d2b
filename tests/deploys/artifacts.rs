//! Artifacts of the functions, built by `stagelink build`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use stagelink_tests::built_artifacts;
use tokio::runtime::Runtime;

/// Builds the artifacts and returns their folder. All tests of a run wait for one build.
pub(crate) fn build() -> PathBuf {
    let artifacts = Runtime::new()
        .expect("this machine runs threads")
        .block_on(built_artifacts());
    let program = &artifacts[NAMES[0]].program;
    program.parent().expect("a file is in a folder").to_owned()
}

/// Copies the artifacts into a folder.
pub(crate) fn copy_into(folder: &Path) {
    for name in NAMES {
        fs::copy(built(name), folder.join(name)).expect("an artifact");
    }
}

/// Copies an artifact without any symbol.
pub(crate) fn copy_stripped(name: &str, to: &Path) {
    strip(&built(name), to, &[]);
}

/// Copies a program without its symbols, except those to keep.
pub(crate) fn strip(from: &Path, to: &Path, kept: &[&str]) {
    let status = Command::new("strip")
        .args(kept.iter().flat_map(|symbol| ["-K", symbol]))
        .arg("-o")
        .args([to, from])
        .status()
        .expect("strip runs: apt-get install binutils");
    assert!(status.success(), "{} cannot be stripped", from.display());
}

/// A test in its isolated network builds nothing: the process that started it has built everything.
fn built(name: &str) -> PathBuf {
    let folder = std::env::var_os(FOLDER)
        .expect("a test in its own network gets the folder in this variable");
    Path::new(&folder).join(name)
}

/// Names of the project's functions.
pub(crate) const NAMES: [&str; 2] = ["guestbook", "health"];

/// Variable that names the folder with the artifacts.
pub(crate) const FOLDER: &str = "STAGELINK_TEST_ARTIFACTS";
