//! The programs under test, built once per run by the commands that users run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use stagelink::{Database, Settings};
use stagelink_cli::build::{Arch, Artifact, Build, Target};
use stagelink_cli::{migrate, outer_cargo};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Returns the repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are in the project")
}

/// Returns the executables of the project's functions, by name.
pub async fn functions() -> &'static BTreeMap<String, PathBuf> {
    static BUILT: OnceCell<BTreeMap<String, PathBuf>> = OnceCell::const_new();
    BUILT
        .get_or_init(|| async {
            stagelink_cli::functions::build(root(), false, |_| ())
                .await
                .expect("the functions build")
                .into_iter()
                .map(|built| (built.name, built.executable))
                .collect()
        })
        .await
}

/// Returns the target of the artifacts: this machine's architecture.
pub fn artifacts_target() -> Target {
    Target::of(Arch::host().expect("the tests run on x86_64 or arm64"))
}

/// Returns the artifacts of the project's functions as `stagelink build` makes them, by name. The
/// first build on a machine takes minutes; it shares its results with
/// `scripts/build`.
pub async fn built_artifacts() -> &'static BTreeMap<String, Artifact> {
    static BUILT: OnceCell<BTreeMap<String, Artifact>> = OnceCell::const_new();
    BUILT
        .get_or_init(|| async {
            let build = Build {
                project: root().to_owned(),
                target: artifacts_target(),
                output: target_folder().join("artifacts/tests"),
            };
            let (artifacts, _) = build.run(|_| ()).await.expect("the artifacts build");
            artifacts
                .into_iter()
                .map(|artifact| (artifact.function.clone(), artifact))
                .collect()
        })
        .await
}

/// Returns the command `stagelink`, as `cargo run` builds it.
pub async fn stagelink_command() -> &'static Path {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    BUILT
        .get_or_init(|| cargo_build(&["--bin", "stagelink"], "stagelink"))
        .await
}

/// Returns one of the SDK's examples by its name. All of them are built together.
pub async fn sdk_example(name: &str) -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    BUILT
        .get_or_init(|| cargo_build(&["--package", "stagelink", "--examples"], "examples"))
        .await
        .join(name)
}

/// Applies the project's migrations to the database that these variables link to.
///
/// # Panics
///
/// When a migration fails.
pub async fn migrate(variables: &BTreeMap<String, String>) {
    let settings = Settings::from_vars(variables);
    let link = Database::new(settings.map(Settings::without_pooler));
    migrate::apply(&link, &root().join("migrations"))
        .await
        .expect("the migrations apply");
}

/// Runs a command without input to its end, and returns its standard output.
///
/// # Panics
///
/// When it does not start, or fails; the message has its output.
///
/// A cargo that it runs does not see the variables of the cargo of the tests.
pub async fn run_command(command: &mut Command) -> String {
    outer_cargo::forget(command.as_std_mut());
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{command:?}: {stdout}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    stdout.into_owned()
}

async fn cargo_build(arguments: &[&str], program: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--quiet"]);
    run_command(command.args(arguments)).await;
    target_folder().join("debug").join(program)
}

/// Returns the target folder with the programs of all profiles, also where Cargo is configured to
/// use another one.
///
/// # Panics
///
/// When the test is not where Cargo puts it.
pub fn target_folder() -> PathBuf {
    // This test is target/<profile>/deps/<name>.
    let test = std::env::current_exe().expect("a test has a path");
    test.ancestors()
        .nth(3)
        .expect("a test is three folders down")
        .to_owned()
}
