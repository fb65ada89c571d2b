//! The programs under test, built once per run by the commands that users run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use stagelink::{Database, Settings};
use stagelink_cli::build::{Arch, Artifact, Build, Target};
use stagelink_cli::{migrate, outer_cargo};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::tls_library::is_native;

/// Returns the repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are in the project")
}

/// Returns the executables of the project's functions, by name.
///
/// With the platform's TLS library they are built with the feature for it, in a target folder of their
/// own: a test may build them without it meanwhile.
pub async fn functions() -> &'static BTreeMap<String, PathBuf> {
    static BUILT: OnceCell<BTreeMap<String, PathBuf>> = OnceCell::const_new();
    BUILT
        .get_or_init(|| async {
            if is_native() {
                return native_functions().await;
            }
            stagelink_cli::functions::build(root(), false, |_| ())
                .await
                .expect("the functions build")
                .into_iter()
                .map(|built| (built.name, built.executable))
                .collect()
        })
        .await
}

async fn native_functions() -> BTreeMap<String, PathBuf> {
    let folders = fs::read_dir(root().join("functions")).expect("a folder");
    let names = folders.map(|folder| folder.expect("an entry").file_name());
    let names: Vec<_> = names
        .map(|name| name.into_string().expect("UTF-8"))
        .collect();
    let target = target_folder().join("native-tls");
    let mut arguments = vec!["--features", "stagelink/native-tls", "--target-dir"];
    arguments.push(target.to_str().expect("UTF-8"));
    for name in &names {
        arguments.extend(["--package", name]);
    }
    cargo_build(&arguments).await;
    let program = |name: String| (name.clone(), target.join("debug").join(name));
    names.into_iter().map(program).collect()
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
        .get_or_init(|| async {
            cargo_build(&["--bin", "stagelink"]).await;
            target_folder().join("debug/stagelink")
        })
        .await
}

/// Returns one of the SDK's examples by its name. All of them are built together.
pub async fn sdk_example(name: &str) -> PathBuf {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    BUILT
        .get_or_init(|| cargo_build(&["--package", "stagelink", "--examples"]))
        .await;
    target_folder().join("debug/examples").join(name)
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

async fn cargo_build(arguments: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--quiet"]);
    run_command(command.args(arguments)).await;
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
