//! Tests of `scripts/stagelink` of a new project: where it finds the command, and how it builds it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::{FILES, write_file};

/// A `cargo` that makes a program which writes its arguments, in place of compiling, and notes its
/// calls: the folder, the variables of the profile, the arguments.
const CARGO: &str = r#"#!/bin/sh
set -eu
case "$1 $2" in
'metadata --no-deps')
    echo "{\"target_directory\":\"$PWD/target\"}"
    exit ;;
metadata*)
    cat "$PROJECT/metadata"
    exit ;;
esac
echo "$PWD|${CARGO_INCREMENTAL-}|${CARGO_PROFILE_DEV_DEBUG-}|$*" >>"$PROJECT/builds"
program=$PWD/target/debug/stagelink
while [ $# -gt 0 ]; do
    case "$1" in
    --root) program=$2/bin/stagelink ;;
    --target-dir) program=$2/debug/stagelink ;;
    esac
    shift
done
mkdir -p "$(dirname "$program")"
printf '#!/bin/sh\necho "built: $*"\n' >"$program"
chmod +x "$program"
"#;

/// A project with the script alone.
struct Project {
    folder: TempDir,
}

/// The end of a run of `scripts/stagelink status`.
#[derive(Debug, PartialEq)]
struct Ran {
    stdout: String,
    stderr: String,
    /// The calls of cargo that make the command.
    builds: Vec<String>,
}

impl Project {
    /// Creates a project whose SDK comes from crates.io.
    fn with_released_sdk() -> Self {
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let is_script = |(path, _): &&(&str, &str)| *path == "scripts/stagelink";
        let (path, script) = FILES.iter().find(is_script).unwrap();
        project.write_program(path, script);
        project.write_program("bin/cargo", CARGO);
        let id = "registry+https://github.com/rust-lang/crates.io-index#stagelink@0.1.7";
        project.write(
            "metadata",
            &format!("{{\"packages\":[{{\"id\":\"{id}\"}}]}}\n"),
        );
        project
    }

    /// Creates a project whose SDK is in this folder, with the command beside it.
    fn with_sdk_in(folder: &str) -> Self {
        let project = Self::with_released_sdk();
        project.write(
            &format!("{folder}/cli/Cargo.toml"),
            "[package]\nname = \"stagelink-cli\"\n",
        );
        let manifest = project.at(folder).join("sdk/Cargo.toml");
        project.write("metadata", &format!("{{\"manifest_path\":{manifest:?}}}\n"));
        project
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        write_file(self.folder.path(), path, text.as_bytes()).unwrap();
    }

    fn write_program(&self, path: &str, text: &str) {
        self.write(path, text);
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Installs a command of this version in a folder of the project.
    fn install(&self, folder: &str, version: &str) {
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && echo stagelink {version} || echo \"installed: $*\"\n"
        );
        self.write_program(&format!("{folder}/stagelink"), &text);
    }

    /// Runs the script with these folders of the project first on the PATH.
    fn run(&self, folders: &[&str], variables: &[(&str, &str)]) -> Ran {
        let folders = folders.iter().chain(&["bin"]).map(|folder| self.at(folder));
        // Not this machine's PATH, which may have a command of its own.
        let path = folders.chain(["/usr/bin".into(), "/bin".into()]);
        let output = Command::new("scripts/stagelink")
            .arg("status")
            .current_dir(self.folder.path())
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("PROJECT", self.folder.path())
            .env_remove("CARGO_INCREMENTAL")
            .env_remove("CARGO_PROFILE_DEV_DEBUG")
            .env_remove("CARGO_TARGET_DIR")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let builds = fs::read_to_string(self.at("builds")).unwrap_or_default();
        let _ = fs::remove_file(self.at("builds"));
        let folder = self.folder.path().display().to_string();
        Ran {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            builds: builds
                .lines()
                .map(|line| line.replace(&folder, "PROJECT"))
                .collect(),
        }
    }
}

const FIRST_TIME: &str =
    "building the command stagelink, which takes some minutes the first time\n";

fn built(builds: &[&str], stderr: &str) -> Ran {
    Ran {
        stdout: "built: status\n".to_owned(),
        stderr: stderr.to_owned(),
        builds: builds.iter().map(|build| (*build).to_owned()).collect(),
    }
}

const INSTALL: &str = "PROJECT|0|0|install --locked --debug stagelink-cli@0.1.7 --root target/stagelink \
                       --config profile.dev.package.sha2.opt-level=3";

#[test]
fn released_command_is_installed_for_the_project_and_later_quietly() {
    let project = Project::with_released_sdk();
    assert_eq!(project.run(&[], &[]), built(&[INSTALL], FIRST_TIME));
    let quiet = format!("{INSTALL} --quiet");
    assert_eq!(project.run(&[], &[]), built(&[&quiet], ""));
}

#[test]
fn installed_command_of_the_same_version_is_run() {
    let project = Project::with_released_sdk();
    project.install("home/bin", "0.1.7");
    let ran = project.run(&["home/bin"], &[]);
    assert_eq!(ran.stdout, "installed: status\n", "{ran:?}");
    assert_eq!((ran.stderr.as_str(), ran.builds.len()), ("", 0));
}

#[test]
fn installed_command_of_another_version_is_not_run() {
    let project = Project::with_released_sdk();
    project.install("home/bin", "0.1.6");
    let ran = project.run(&["home/bin"], &[]);
    assert_eq!(ran, built(&[INSTALL], FIRST_TIME));
}

#[test]
fn script_on_the_path_does_not_call_itself() {
    let project = Project::with_released_sdk();
    let ran = project.run(&["scripts"], &[]);
    assert_eq!(ran, built(&[INSTALL], FIRST_TIME));
}

#[test]
fn checkout_builds_the_command_as_its_own_cargo_run_does() {
    let project = Project::with_sdk_in("vendor/stagelink");
    // Of a checkout no version is known.
    project.install("home/bin", "0.1.7");
    let ran = project.run(&["home/bin"], &[]);
    let build = "PROJECT/vendor/stagelink|||build --locked --package stagelink-cli";
    assert_eq!(ran, built(&[build], FIRST_TIME));
    assert!(!project.at("target").exists());
}

#[test]
fn repository_that_cargo_has_cloned_is_built_in_the_project() {
    let clone = "home/.cargo/git/checkouts/stagelink-1f/2e";
    let project = Project::with_sdk_in(clone);
    let ran = project.run(&[], &[]);
    let build = format!(
        "PROJECT|0|0|build --locked --manifest-path PROJECT/{clone}/Cargo.toml --package stagelink-cli \
         --target-dir target"
    );
    assert_eq!(ran, built(&[&build], FIRST_TIME));
}

#[test]
fn target_folder_of_the_environment_is_used() {
    let project = Project::with_sdk_in("vendor/stagelink");
    let target = project.at("elsewhere").display().to_string();
    let ran = project.run(&[], &[("CARGO_TARGET_DIR", &target)]);
    let build = "PROJECT|0|0|build --locked --manifest-path PROJECT/vendor/stagelink/Cargo.toml \
                 --package stagelink-cli --target-dir PROJECT/elsewhere";
    assert_eq!(ran, built(&[build], FIRST_TIME));
}
