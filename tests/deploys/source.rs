//! A project whose function is source, which the Netlify CLI builds by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use stagelink_tests::{functions, root};
use tempfile::TempDir;

use crate::tools;

/// The project: a workspace like this one, with the function `served` in `functions`.
#[derive(Debug)]
pub(crate) struct Source(TempDir);

impl Source {
    /// A project that has been built by nobody yet. What it depends on has been.
    pub(crate) async fn new() -> Self {
        functions().await;
        let project = Self(tempfile::tempdir().expect("a folder"));
        // The same versions, features and profiles, so that cargo compiles no dependency anew.
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

    /// Has the CLI start a cargo that builds where the tests do.
    pub(crate) fn prepare(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        command
            .env("PATH", format!("{}:{path}", self.at("bin").display()))
            .env("NETLIFY_EXPERIMENTAL_BUILD_RUST_SOURCE", "true")
            .env("TEST_CARGO", cargo)
            .env("TEST_TARGET", tools::target());
    }

    /// The program that the CLI has had built.
    pub(crate) fn program(&self) -> PathBuf {
        self.at(".netlify/functions-serve/served/debug/served")
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// The CLI has cargo build into a folder that it empties before. Some 200 crates would be
    /// compiled in it, which takes minutes; this leaves a link to the tests' own folder there.
    fn put_cargo(&self) {
        let script = self.at("bin/cargo");
        fs::create_dir_all(self.at("bin")).expect("a folder");
        fs::write(&script, CARGO).expect("a file");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a file");
    }
}

/// This project's Cargo.toml with other members.
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

/// What the CLI starts it with is `build --target-dir <folder>`.
const CARGO: &str = r#"#!/bin/sh
set -eu
mkdir -p "$(dirname "$3")"
[ -e "$3" ] || ln -s "$TEST_TARGET" "$3"
exec "$TEST_CARGO" "$1" "$2" "$TEST_TARGET"
"#;
