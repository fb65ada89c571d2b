//! A project whose function is source code, which the Netlify CLI builds itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use stagelink_cli::outer_cargo;
use stagelink_tests::{functions, root, target_folder};
use tempfile::TempDir;

/// Workspace like this one, with the function `served` in `functions`.
#[derive(Debug)]
pub(crate) struct Source(TempDir);

impl Source {
    /// Creates a project that has not been built. Its dependencies are compiled already.
    pub(crate) async fn new() -> Self {
        functions().await;
        let project = Self(tempfile::tempdir().expect("a folder"));
        // With the versions, features and profiles of this workspace, so that cargo compiles no
        // dependency again.
        fs::copy(root().join("Cargo.lock"), project.at("Cargo.lock")).expect("Cargo.lock");
        fs::write(project.at("Cargo.toml"), workspace()).expect("a file");
        let function = project.at("functions/served");
        fs::create_dir_all(function.join("src")).expect("a folder");
        for file in ["Cargo.toml", "src/main.rs"] {
            let from = root().join("tests/deploys/served").join(file);
            fs::copy(from, function.join(file)).expect(file);
        }
        fs::create_dir_all(project.at("public")).expect("a folder");
        fs::write(project.at("public/index.html"), "a page").expect("a file");
        let toml = "[build]\npublish = \"public\"\n\n[functions]\ndirectory = \"functions\"\n";
        fs::write(project.at("netlify.toml"), toml).expect("a file");
        project.put_cargo();
        project
    }

    /// Puts a cargo on the CLI's PATH that builds into the tests' target folder.
    pub(crate) fn prepare(&self, command: &mut Command) {
        outer_cargo::forget(command);
        let path = std::env::var("PATH").unwrap_or_default();
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        command
            .env("PATH", format!("{}:{path}", self.at("bin").display()))
            .env("NETLIFY_EXPERIMENTAL_BUILD_RUST_SOURCE", "true")
            // A function needs no OpenSSL.
            .env("OPENSSL_DIR", "/nonexistent")
            .env("TEST_CARGO", cargo)
            .env("TEST_TARGET", target_folder());
    }

    /// Returns the program that the CLI built.
    pub(crate) fn program(&self) -> PathBuf {
        self.at(".netlify/functions-serve/served/debug/served")
    }

    /// Returns its folder.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns a path in it.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// Links the CLI's target folder to the tests' own. The CLI empties that folder before each
    /// build, so about 200 crates would be compiled in it, which takes minutes.
    fn put_cargo(&self) {
        let script = self.at("bin/cargo");
        fs::create_dir_all(self.at("bin")).expect("a folder");
        fs::write(&script, CARGO).expect("a file");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a file");
    }
}

/// Returns this project's Cargo.toml with other members.
fn workspace() -> String {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("default-members"));
    let lines = lines.map(|line| match line.strip_prefix("members = ") {
        Some(_) => "members = [\"functions/*\"]".to_owned(),
        None => line.replace("path = \"", &format!("path = \"{}/", root().display())),
    });
    lines.map(|line| line + "\n").collect()
}

/// Cargo wrapper. The CLI runs `cargo build --target-dir <folder>`.
const CARGO: &str = r#"#!/bin/sh
set -eu
mkdir -p "$(dirname "$3")"
[ -e "$3" ] || ln -s "$TEST_TARGET" "$3"
exec "$TEST_CARGO" "$1" "$2" "$TEST_TARGET"
"#;
