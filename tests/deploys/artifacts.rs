//! The programs of the functions as `stagelink build` makes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use stagelink_tests::built_artifacts;
use tokio::runtime::Runtime;

/// Builds them, and returns the folder that they are in. All tests of a run wait for one build.
pub(crate) fn build() -> PathBuf {
    let artifacts = Runtime::new()
        .expect("this machine runs threads")
        .block_on(built_artifacts());
    let program = &artifacts[NAMES[0]].program;
    program.parent().expect("a file is in a folder").to_owned()
}

/// Copies them into a folder.
pub(crate) fn copy_into(folder: &Path) {
    for name in NAMES {
        fs::copy(built(name), folder.join(name)).expect("an artifact");
    }
}

/// Copies one of them without any symbol.
pub(crate) fn copy_stripped(name: &str, to: &Path) {
    strip(&built(name), to, &[]);
}

/// Copies a program without its symbols but for those that are to be kept.
pub(crate) fn strip(from: &Path, to: &Path, kept: &[&str]) {
    let status = Command::new("strip")
        .args(kept.iter().flat_map(|symbol| ["-K", symbol]))
        .arg("-o")
        .args([to, from])
        .status()
        .expect("strip runs: apt-get install binutils");
    assert!(status.success(), "{} cannot be stripped", from.display());
}

/// The test in its network does not build: what it is started by has done that for all.
fn built(name: &str) -> PathBuf {
    let folder = std::env::var_os(FOLDER).expect("a test in its own network is told the folder");
    Path::new(&folder).join(name)
}

/// The functions of the project.
pub(crate) const NAMES: [&str; 2] = ["guestbook", "health"];

/// The variable that names the folder with the artifacts.
pub(crate) const FOLDER: &str = "STAGELINK_TEST_ARTIFACTS";
