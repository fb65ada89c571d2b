//! Artifacts of `stagelink build`: programs that need no library of the image, and byte-for-byte
//! the same in any folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use stagelink_cli::build::{
    Artifact, Build, CheckOutcome, check, count_symbols, verify_deployable, zip,
};
use stagelink_tests::{SmallProject, artifacts_target, built_artifacts, root, stagelink_command};
use tempfile::TempDir;
use tokio::process::Command;

#[tokio::test]
async fn artifact_needs_no_library_and_is_recognized_by_netlify() {
    for artifact in built_artifacts().await.values() {
        let program = fs::read(&artifact.program).unwrap();
        verify_deployable(&program, artifacts_target()).unwrap();
    }
}

#[tokio::test]
async fn artifact_keeps_no_symbol_but_netlifys_and_is_small() {
    for artifact in built_artifacts().await.values() {
        let program = fs::read(&artifact.program).unwrap();
        assert_eq!(count_symbols(&program).unwrap(), 1, "{}", artifact.function);
        assert!(artifact.zip_size_bytes < 2_750_000, "{artifact:?}");
    }
}

#[tokio::test]
async fn artifact_holds_no_path_of_the_machine() {
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .unwrap();
    let here = [root().to_str().unwrap(), &home];
    for artifact in built_artifacts().await.values() {
        let program = fs::read(&artifact.program).unwrap();
        for folder in here {
            let found = program
                .windows(folder.len())
                .position(|bytes| bytes == folder.as_bytes());
            let shown = found.map(|at| String::from_utf8_lossy(&program[at..at + 200]));
            assert_eq!(shown, None, "{folder} is in {}", artifact.function);
        }
    }
}

#[tokio::test]
async fn artifact_without_a_database_answers_an_event() {
    for artifact in built_artifacts().await.values() {
        let check = check(&artifact.function, &artifact.program, artifacts_target()).await;
        let CheckOutcome::Answered { status, .. } = check.unwrap() else {
            panic!("this machine runs what it builds");
        };
        assert!((400..600).contains(&status), "{status}");
    }
}

#[tokio::test]
async fn zip_is_reproducible() {
    for artifact in built_artifacts().await.values() {
        let program = fs::read(&artifact.program).unwrap();
        assert!(fs::read(&artifact.zip).unwrap() == zip(&program).unwrap());
    }
}

#[tokio::test]
async fn same_source_in_two_folders_gives_the_same_bytes() {
    let one = Project::new("short", MAIN);
    let other = Project::new("another/and/much/longer", MAIN);
    assert_eq!(one.build().await.sha256, other.build().await.sha256);
}

#[tokio::test]
async fn program_without_the_symbol_is_not_accepted_as_finished() {
    if !artifacts_target().is_for_netlify() {
        return;
    }
    let project = Project::new("project", MAIN);
    let artifact = project.build().await;
    let stripped = artifact.program.with_extension("stripped");
    let status = Command::new(on_path("strip"))
        .arg("-o")
        .args([&stripped, &artifact.program])
        .status()
        .await
        .unwrap();
    assert!(status.success());
    let error = verify_deployable(&fs::read(&stripped).unwrap(), artifacts_target());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no symbol rust_eh_personality"), "{error}");
}

#[tokio::test]
async fn program_that_exits_at_once_fails_the_check_with_its_output() {
    let project = Project::new("project", MAIN);
    let artifact = project.build().await;
    let error = check("hello", &artifact.program, artifacts_target()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("does not run"), "{error}");
    assert!(error.contains("hello from a shelf"), "{error}");
}

#[tokio::test]
async fn missing_c_compiler_names_the_package_to_install() {
    let programs = tempfile::tempdir().unwrap();
    let stderr = refused(programs.path()).await;
    let target = artifacts_target();
    assert!(
        stderr.contains(&format!("there is no C compiler for {target}")),
        "{stderr}"
    );
    assert!(
        stderr.contains("apt-get install build-essential"),
        "{stderr}"
    );
}

/// A C compiler is enough to build a function: nothing in it looks for a library of the system, or
/// runs another program. And nothing large is in it that it could do without.
#[test]
fn functions_depend_on_no_library_of_the_system() {
    for function in ["guestbook", "health"] {
        let listed = std::process::Command::new("cargo")
            .current_dir(root())
            .args(["tree", "--locked", "--offline", "--package", function])
            .args(["--edges", "normal,build", "--prefix", "none", "--no-dedupe"])
            .output()
            .expect("cargo runs");
        let listed = String::from_utf8(listed.stdout).expect("names of packages");
        let packages: Vec<&str> = listed
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(packages.contains(&"rustls"), "{packages:?}");
        for unwanted in [
            "openssl",
            "openssl-src",
            "openssl-sys",
            "native-tls",
            "pkg-config",
            "cmake",
            // An engine for regular expressions, as for the patterns of `RUST_LOG`.
            "regex-automata",
        ] {
            assert!(!packages.contains(&unwanted), "{function} has {unwanted}");
        }
    }
}

/// Returns the command's error when only these programs are on the PATH.
async fn refused(programs: &Path) -> String {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(root())
        .output()
        .await
        .expect("rustc runs");
    let sysroot = PathBuf::from(text(output.stdout).trim());
    let output = Command::new(stagelink_command().await)
        .args(["build", "--target", artifacts_target().triple()])
        .arg("--project")
        .arg(root())
        .env("PATH", programs)
        .env("CARGO", sysroot.join("bin/cargo"))
        .env("RUSTC", sysroot.join("bin/rustc"))
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the command runs");
    assert!(!output.status.success());
    text(output.stderr)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

fn on_path(name: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").expect("a PATH");
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .expect("the tests need a compiler of C and its binutils: apt-get install build-essential")
}

/// Workspace with one small function, with everything that can put a path into a program: a panic
/// in it, one in another crate, and one in source that its build script made.
struct Project {
    dir: TempDir,
    folder: &'static str,
}

impl Project {
    fn new(folder: &'static str, main: &str) -> Self {
        let project = Self {
            dir: tempfile::tempdir().expect("a folder"),
            folder,
        };
        for (file, text) in [
            (
                "Cargo.toml",
                "[workspace]\nresolver = \"3\"\nmembers = [\"functions/*\", \"shelf\"]\n",
            ),
            (
                "functions/hello/Cargo.toml",
                "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                 [dependencies]\nshelf = { path = \"../../shelf\" }\n",
            ),
            ("functions/hello/build.rs", BUILD),
            ("functions/hello/src/main.rs", main),
            (
                "shelf/Cargo.toml",
                "[package]\nname = \"shelf\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
            ),
            ("shelf/src/lib.rs", SHELF),
        ] {
            let path = project.path().join(file);
            let folder = path.parent().expect("a file is in a folder");
            fs::create_dir_all(folder).expect("the folder can be made");
            fs::write(path, text).expect("the file can be written");
        }
        project
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(self.folder)
    }

    async fn build(&self) -> Artifact {
        let build = Build {
            project: self.path(),
            target: artifacts_target(),
            output: self.path().join("dist"),
        };
        let (mut artifacts, _) = build.run(|_| ()).await.expect("it builds");
        artifacts.remove(0)
    }
}

const MAIN: &str = r#"
include!(concat!(env!("OUT_DIR"), "/made.rs"));

fn main() {
    let count = std::env::args().count();
    println!("{} {}", shelf::take(count), made(count));
    println!("{}", std::panic::Location::caller());
}
"#;

const BUILD: &str = r#"
fn main() {
    let made = "fn made(n: usize) -> usize { assert!(n < 9, \"made\"); n }";
    let folder = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{folder}/made.rs"), made).unwrap();
}
"#;

const SHELF: &str = r#"
pub fn take(at: usize) -> &'static str {
    ["hello", "hello from a shelf"][at]
}
"#;

/// Fails where it gets a token of the operator, and prints none.
const CURIOUS_BUILD_SCRIPT: &str = "fn main() {
    for (name, value) in std::env::vars() {
        assert!(!value.contains(\"c4n4ry\") || name == \"DATABASE_URL\", \"{name} is there\");
    }
    assert!(std::env::var_os(\"DATABASE_URL\").is_some());
}
";

#[tokio::test]
async fn build_scripts_get_no_token_of_the_operator() {
    let project = SmallProject::with(&[("functions/hello/build.rs", CURIOUS_BUILD_SCRIPT)]);
    let mut command = Command::new(stagelink_command().await);
    command
        .args(["build", "--no-check", "--project", project.path()])
        .env("DATABASE_URL", "postgres://c4n4ry@127.0.0.1:1/none")
        .stdin(Stdio::null());
    for token in [
        "HEROKU_API_KEY",
        "NETLIFY_AUTH_TOKEN",
        "NEON_API_KEY",
        "RENDER_API_KEY",
    ] {
        command.env(token, "c4n4ry");
    }
    let output = command.output().await.expect("the command runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}
