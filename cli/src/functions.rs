//! Finds and builds the functions of a project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use cargo_metadata::{Error as MetadataError, Message, Metadata, MetadataCommand, TargetKind};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::cargo_output;
use crate::child_process::{self, ProcessGroup};
use crate::{operator_secrets, outer_cargo};

/// A built function.
#[derive(Clone, Debug)]
pub struct BuiltFunction {
    /// Name of the function, which is that of its package and of its URL.
    pub name: String,
    /// Path of the function's program.
    pub executable: PathBuf,
}

/// Builds all packages in the project's folder `functions`.
///
/// The project may be a Cargo workspace, or a folder in a larger one. Calls `on_activity` with each
/// activity of cargo's, such as "compiling 12 of 134: hyper".
///
/// # Errors
///
/// When the folder contains no package of the workspace, a package does not have exactly one
/// binary, named after it, or the build fails. The error then contains cargo's output.
pub async fn build(
    project: &Path,
    release: bool,
    on_activity: impl FnMut(&str),
) -> anyhow::Result<Vec<BuiltFunction>> {
    let packages = find_packages(project).await?;
    build_packages(project, &packages, release, on_activity).await
}

/// Builds these packages of the project as [`build`] does.
///
/// # Errors
///
/// When the build fails.
pub(crate) async fn build_packages(
    project: &Path,
    packages: &[String],
    release: bool,
    on_activity: impl FnMut(&str),
) -> anyhow::Result<Vec<BuiltFunction>> {
    let prepare = |cargo: &mut Command| {
        cargo.args(release.then_some("--release"));
    };
    compile(project, packages, prepare, on_activity).await
}

/// Builds packages in one run of cargo. `prepare` adds options to it.
///
/// All packages are in one run also where few have changed: cargo compiles what has changed alone, while
/// other packages than last time would change the features of their dependencies, and compile those anew.
pub(crate) async fn compile(
    project: &Path,
    packages: &[String],
    prepare: impl FnOnce(&mut Command),
    on_activity: impl FnMut(&str),
) -> anyhow::Result<Vec<BuiltFunction>> {
    let mut command = Command::new(cargo());
    command
        .current_dir(project)
        .args(["build", "--message-format", "json-render-diagnostics"])
        .args(
            packages
                .iter()
                .flat_map(|name| ["--package", name.as_str()]),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    operator_secrets::add_url_variables_of(project);
    operator_secrets::withhold(command.as_std_mut());
    outer_cargo::forget(command.as_std_mut());
    cargo_output::show_progress(&mut command);
    prepare(&mut command);
    let mut group = ProcessGroup::start(&mut command)
        .with_context(|| format!("could not start {}", cargo().display()))?;
    let stdout = group.child.stdout.take().context("cargo has no output")?;
    let stderr = group.child.stderr.take().context("cargo has no output")?;

    let artifacts = tokio::spawn(read_lines(stdout));
    let diagnostics = cargo_output::read(stderr, on_activity).await?;
    let status = group.wait().await.context("could not wait for cargo")?;
    if !status.success() {
        bail!("could not build the functions:\n{}", diagnostics.join("\n"));
    }
    match_executables(packages, &artifacts.await??)
}

/// Returns the names of the packages in the folder `functions`.
pub(crate) async fn find_packages(project: &Path) -> anyhow::Result<Vec<String>> {
    let mut command = MetadataCommand::new();
    command.current_dir(project).no_deps();
    let metadata = metadata(command).await.with_context(|| {
        format!(
            "could not read the Cargo workspace in {}",
            project.display()
        )
    })?;
    // Cargo's paths contain no symbolic links.
    let folder = project
        .canonicalize()
        .with_context(|| format!("there is no project in {}", project.display()))?
        .join("functions");
    let mut names = Vec::new();
    for package in metadata.workspace_packages() {
        if package
            .manifest_path
            .parent()
            .and_then(|path| path.parent())
            .is_none_or(|parent| parent.as_std_path() != folder)
        {
            continue;
        }
        let binaries: Vec<_> = package
            .targets
            .iter()
            .filter(|target| target.kind.contains(&TargetKind::Bin))
            .map(|target| target.name.as_str())
            .collect();
        // Netlify looks for a binary of the package's name.
        if binaries != [package.name.as_str()] {
            bail!(
                "the function {} must have exactly one binary, of that name, but has {binaries:?}: see {}",
                package.name,
                package.manifest_path
            );
        }
        names.push(package.name.to_string());
    }
    if names.is_empty() {
        bail!(
            "there are no functions: {} contains no package of the Cargo workspace {}",
            folder.display(),
            metadata.workspace_root
        );
    }
    Ok(names)
}

/// Asks cargo for what it knows of a workspace.
pub(crate) async fn metadata(mut command: MetadataCommand) -> Result<Metadata, MetadataError> {
    let mut command = Command::from(command.cargo_path(cargo()).cargo_command());
    // The project may name the compiler that cargo asks.
    operator_secrets::withhold(command.as_std_mut());
    let output = child_process::output(&mut command).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if !output.status.success() {
        return Err(MetadataError::CargoMetadata {
            stderr: text(output.stderr),
        });
    }
    // Cargo may print other lines before it.
    let stdout = text(output.stdout);
    let mut lines = stdout.lines();
    let json = lines.find(|line| line.starts_with('{'));
    MetadataCommand::parse(json.ok_or(MetadataError::NoJson)?)
}

/// Returns each package's program, from the messages of cargo.
fn match_executables(
    packages: &[String],
    messages: &[String],
) -> anyhow::Result<Vec<BuiltFunction>> {
    let mut executables = BTreeMap::new();
    for line in messages {
        if let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(line)
            && let Some(executable) = artifact.executable
        {
            executables.insert(artifact.target.name, executable.into_std_path_buf());
        }
    }
    packages
        .iter()
        .map(|name| {
            let executable = executables
                .remove(name)
                .with_context(|| format!("cargo built no program for the function {name}"))?;
            Ok(BuiltFunction {
                name: name.clone(),
                executable,
            })
        })
        .collect()
}

async fn read_lines(from: tokio::process::ChildStdout) -> std::io::Result<Vec<String>> {
    let mut lines = BufReader::new(from).lines();
    let mut all = Vec::new();
    while let Some(line) = lines.next_line().await? {
        all.push(line);
    }
    Ok(all)
}

/// Returns the cargo that runs this process, or the one on the PATH.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(manifest: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("Cargo.toml"),
            "[workspace]\nresolver = \"3\"\nmembers = [\"functions/*\"]\n",
        )
        .unwrap();
        let function = dir.path().join("functions/hello");
        std::fs::create_dir_all(function.join("src")).unwrap();
        std::fs::write(function.join("Cargo.toml"), manifest).unwrap();
        std::fs::write(function.join("src/main.rs"), "fn main() {}\n").unwrap();
        dir
    }

    const MANIFEST: &str = "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";

    #[tokio::test]
    async fn function_is_found_and_built() {
        let dir = workspace(MANIFEST);
        let built = build(dir.path(), false, |_| ()).await.unwrap();
        assert_eq!(built[0].name, "hello");
        assert!(built[0].executable.is_file());
    }

    #[tokio::test]
    async fn error_of_a_failed_build_contains_the_compilers_output() {
        let dir = workspace(MANIFEST);
        std::fs::write(
            dir.path().join("functions/hello/src/main.rs"),
            "fn main() { nothing }",
        )
        .unwrap();
        let error = build(dir.path(), false, |_| ()).await.unwrap_err();
        assert!(
            error.to_string().contains("cannot find value `nothing`"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn project_in_a_larger_workspace_has_only_its_own_functions() {
        let dir = workspace(MANIFEST);
        let manifest =
            "[workspace]\nresolver = \"3\"\nmembers = [\"functions/*\", \"apps/*/functions/*\"]\n";
        std::fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
        let function = dir.path().join("apps/backend/functions/inner");
        std::fs::create_dir_all(function.join("src")).unwrap();
        let manifest = MANIFEST.replace("hello", "inner");
        std::fs::write(function.join("Cargo.toml"), manifest).unwrap();
        std::fs::write(function.join("src/main.rs"), "fn main() {}\n").unwrap();

        let project = dir.path().join("apps/backend");
        assert_eq!(find_packages(&project).await.unwrap(), ["inner"]);
        assert_eq!(find_packages(dir.path()).await.unwrap(), ["hello"]);
        let built = build(&project, false, |_| ()).await.unwrap();
        assert!(built[0].executable.is_file());
    }

    #[tokio::test]
    async fn error_without_functions_names_the_folder() {
        let dir = workspace(MANIFEST);
        let error = find_packages(&dir.path().join("functions/hello"))
            .await
            .unwrap_err();
        let folder = dir.path().join("functions/hello/functions");
        assert!(
            error.to_string().contains(&folder.display().to_string()),
            "{error}"
        );
    }

    #[tokio::test]
    async fn binary_of_another_name_is_refused() {
        let dir = workspace(&format!(
            "{MANIFEST}\n[[bin]]\nname = \"other\"\npath = \"src/main.rs\"\n"
        ));
        let error = find_packages(dir.path()).await.unwrap_err().to_string();
        assert!(
            error.contains("the function hello must have exactly one binary"),
            "{error}"
        );
    }
}
