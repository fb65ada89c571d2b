//! `stagelink new`, tested by the instructions in the new project's README; and the same project in
//! a larger repository.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stagelink_tests::{run_command, send, stagelink_command, target_folder};
use tokio::process::Command;

use crate::dev::Dev;

#[tokio::test]
async fn new_project_is_tested_and_runs_at_once() {
    let fixture = NewProject::new();
    let project = fixture.new_project("shop").await;

    let cargo = || {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&project);
        cargo
    };
    let lock = || fs::read_to_string(project.join("Cargo.lock")).expect("a lock file");
    let of_new = lock();
    for (package, is_used) in [
        ("notes", true),
        ("stagelink", true),
        ("squawk-linter", false),
        ("stagelink-cli", false),
    ] {
        let has = of_new.contains(&format!("name = \"{package}\"\n"));
        assert_eq!(has, is_used, "{package}");
    }
    run_command(cargo().args(["tree", "--locked"])).await;
    let mut add = Command::new(stagelink_command().await);
    add.args(["new", "function", "clock"]).current_dir(&project);
    run_command(&mut add).await;
    let of_function = lock();
    assert!(of_function.contains("name = \"clock\"\n"), "{of_function}");
    run_command(cargo().args(["fmt", "--all", "--check"])).await;
    run_command(cargo().arg("test")).await;

    let mut script = Command::new(project.join("scripts/dev"));
    script.env("PATH", fixture.path_with_a_built_command().await);
    let dev = Dev::start_by(script).await;
    assert_eq!(dev.pipeline(), "shop");
    assert_eq!(dev.stage("staging")["app"], "shop-staging");
    notes_are_kept_by_stage(&dev).await;
    let site = dev.stage("staging")["url"].as_str().expect("a URL");
    let clock = send("GET", &format!("{site}/api/clock"), &[], "")
        .await
        .json();
    assert_eq!(clock["stage"], "staging", "{clock}");
    assert!(clock["time"].is_string(), "{clock}");
    // The drill is declared, and counts what it has written.
    let mut drill = Command::new(stagelink_command().await);
    drill.args(["drill", "--fault", "reset-peer", "--for", "500ms", "--json"]);
    let drilled = drill.current_dir(&project).output().await;
    let drilled = drilled.expect("the command runs");
    let report: Value = serde_json::from_slice(&drilled.stdout).expect("a report");
    assert!(drilled.status.success(), "{report}");
    assert!(
        report["cases"][0]["kept"]["once"].as_u64() > Some(0),
        "{report}"
    );
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
    // The first build and the first `dev` leave a commit of the new project as it is.
    assert_eq!(lock(), of_function);
}

#[tokio::test]
async fn existing_folder_is_left_unchanged() {
    let fixture = NewProject::new();
    let project = fixture.folder.path().join("shop");
    fs::create_dir(&project).expect("a folder");
    fs::write(project.join("Cargo.toml"), "mine").expect("a file");
    let output = Command::new(stagelink_command().await)
        .args(["new", "shop"])
        .current_dir(fixture.folder.path())
        .output()
        .await
        .expect("the command runs");
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("shop exists already"), "{stderr}");
    let left: Vec<_> = fs::read_dir(&project).expect("a folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn project_two_folders_down_in_a_larger_workspace_runs() {
    let fixture = NewProject::new();
    let project = fixture.new_project("shop").await;
    // The repository has the workspace, a package that is no function, and a function of another
    // project.
    let repository = fixture.folder.path().join("repository");
    let backend = repository.join("apps/backend");
    fs::create_dir_all(repository.join("apps")).expect("a folder");
    fs::rename(&project, &backend).expect("the project can be moved");
    let manifest = fs::read_to_string(backend.join("Cargo.toml")).expect("a manifest");
    let members = "members = [\"apps/*/functions/*\", \"packages/*\", \"functions/*\"]";
    let manifest = manifest.replace("members = [\"functions/*\"]", members);
    fs::remove_file(backend.join("Cargo.toml")).expect("a manifest");
    fs::write(repository.join("Cargo.toml"), manifest).expect("a manifest");
    fs::rename(backend.join("Cargo.lock"), repository.join("Cargo.lock")).expect("a lock file");
    package(&repository.join("packages/tool"), "fn main() {}\n");
    // It does not compile.
    package(
        &repository.join("functions/other"),
        "fn main() { nothing }\n",
    );

    let path = backend.to_str().expect("a path");
    let dev = Dev::start(&["--project", path]).await;
    notes_are_kept_by_stage(&dev).await;
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

async fn notes_are_kept_by_stage(dev: &Dev) {
    let url = |stage| {
        let site = dev.stage(stage)["url"].as_str().expect("a URL");
        format!("{site}/api/notes")
    };
    let note = json!({ "text": "from a test" }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = send("POST", &url("staging"), &headers, &note).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let staging = send("GET", &url("staging"), &[], "").await.json();
    assert_eq!(
        staging,
        json!({ "stage": "staging", "notes": ["from a test"] })
    );
    let production = send("GET", &url("production"), &[], "").await.json();
    assert_eq!(production, json!({ "stage": "production", "notes": [] }));
}

/// Folder for new projects, whose builds share the target folder of the tests.
pub(crate) struct NewProject {
    folder: tempfile::TempDir,
}

impl NewProject {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join(".cargo/config.toml");
        fs::create_dir(folder.path().join(".cargo")).expect("a folder");
        let target = target_folder();
        fs::write(config, format!("[build]\ntarget-dir = {target:?}\n")).expect("a file");
        Self { folder }
    }

    /// Makes a new project as a user does.
    pub(crate) async fn new_project(&self, name: &str) -> PathBuf {
        let mut command = Command::new(stagelink_command().await);
        command.args(["new", name]).current_dir(self.folder.path());
        run_command(&mut command).await;
        self.folder.path().join(name)
    }

    /// Returns a PATH whose `cargo` gives a project the `stagelink` command of this test run in place of
    /// one that the checkout builds, and runs the real cargo for everything else.
    pub(crate) async fn path_with_a_built_command(&self) -> String {
        let bin = self.folder.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        let script = format!(
            "#!/bin/sh\n\
             case \"$*\" in\n\
             'metadata --no-deps --format-version 1') echo '{{\"target_directory\":\"{target}\"}}' ;;\n\
             *'build '*'--package stagelink-cli'*) mkdir -p '{target}/debug' && ln -sf '{}' '{target}/debug/' ;;\n\
             *) exec '{}' \"$@\" ;;\n\
             esac\n",
            stagelink_command().await.display(),
            env!("CARGO"),
            target = self.folder.path().join("command").display(),
        );
        let cargo = bin.join("cargo");
        fs::write(&cargo, script).expect("a file");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("its rights");
        format!(
            "{}:{}",
            bin.display(),
            std::env::var("PATH").unwrap_or_default()
        )
    }
}

/// Writes a package that is not part of the new project.
fn package(folder: &Path, main: &str) {
    let name = folder.file_name().expect("a name").to_string_lossy();
    fs::create_dir_all(folder.join("src")).expect("a folder");
    let manifest = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
    fs::write(folder.join("Cargo.toml"), manifest).expect("a manifest");
    fs::write(folder.join("src/main.rs"), main).expect("a file");
}
