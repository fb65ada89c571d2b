//! The programs of the functions as they are deployed: static, and small.

use std::path::{Path, PathBuf};
use std::process::Command;

use stagelink_tests::root;

/// Builds them. Cargo knows whether there is anything to do.
pub(crate) fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--target",
            TARGET,
        ])
        .args(NAMES.iter().flat_map(|name| ["--package", name]))
        // Netlify's image of the day is not known, and a static program does not depend on it.
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the artifacts do not build: {said}"
    );
}

/// Copies them into a folder, without the symbols that nobody needs.
pub(crate) fn copy_into(folder: &Path) {
    for name in NAMES {
        // Netlify knows a Rust program by this symbol.
        strip(
            &["-K", "rust_eh_personality"],
            &built(name),
            &folder.join(name),
        );
    }
}

/// Copies one of them without any symbol.
pub(crate) fn copy_stripped(name: &str, to: &Path) {
    strip(&[], &built(name), to);
}

fn strip(options: &[&str], from: &Path, to: &Path) {
    let status = Command::new("strip")
        .args(options)
        .arg("-o")
        .args([to, from])
        .status()
        .expect("strip runs: apt-get install binutils");
    assert!(status.success(), "{} cannot be stripped", from.display());
}

fn built(name: &str) -> PathBuf {
    crate::tools::target()
        .join(TARGET)
        .join("release")
        .join(name)
}

/// The functions of the project.
pub(crate) const NAMES: [&str; 2] = ["guestbook", "health"];

const TARGET: &str = "x86_64-unknown-linux-gnu";
