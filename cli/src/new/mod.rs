//! `stagelink new`: creates a project that builds, passes its tests and runs.

mod function;
mod lock_file;
mod name;
mod sdk;
mod template;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use self::name::ProjectName;
use self::sdk::SdkSource;
use crate::args::{NewCommand, NewOptions, Vcs};
use crate::operator_secrets;
use crate::output::print;

/// Makes the project and prints its commands, or adds a function to one.
///
/// # Errors
///
/// When Heroku would refuse the name, the folder exists, there is no SDK at the place that `--sdk`
/// names, or a file cannot be written. Nothing is left of the project then.
pub async fn run(options: &NewOptions) -> anyhow::Result<()> {
    if let Some(NewCommand::Function(options)) = &options.command {
        return function::add(options).await;
    }
    let name = options.name.as_deref().unwrap_or_default();
    let (name, folder) = name_and_folder(name, options.path.as_deref())?;
    let sdk = options
        .sdk
        .as_deref()
        .map_or_else(SdkSource::of_this_command, SdkSource::parse)?;
    create(&folder, &name, &sdk, options.vcs)?;
    lock_file::complete(&folder, true).await;
    let mut text = format!(
        "The project {name} is in {}. In it, run:\n\n  \
         scripts/dev    # the site with its stages, on this machine\n  \
         cargo test     # its tests, each with a database of its own\n\n\
         Commit it before you go on: `git add --all && git commit --message 'a new project'`. \
         `scripts/stagelink deploy` and `scripts/stagelink promote` say which commit they bring.",
        folder.display()
    );
    text.push_str("\n\n");
    text.push_str(&sdk.told(options.sdk.is_some()));
    print(text)
}

/// Returns the project's name and folder. As with `cargo new`, the argument may be a path, whose
/// last part is then the name.
fn name_and_folder(name: &str, path: Option<&Path>) -> anyhow::Result<(ProjectName, PathBuf)> {
    if let Some(path) = path {
        return Ok((name.parse()?, path.to_owned()));
    }
    let folder = PathBuf::from(name);
    let last = folder.file_name().and_then(|last| last.to_str());
    Ok((last.unwrap_or(name).parse()?, folder))
}

/// Creates the project completely or not at all: writes its files to a temporary folder beside the
/// project's, and renames it at the end.
fn create(
    folder: &Path,
    name: &ProjectName,
    sdk: &SdkSource,
    vcs: Option<Vcs>,
) -> anyhow::Result<()> {
    if folder.symlink_metadata().is_ok() {
        bail!(
            "{} exists already: choose another folder with --path",
            folder.display()
        );
    }
    let absolute = std::path::absolute(folder)
        .with_context(|| format!("{} is not a path", folder.display()))?;
    let (Some(parent), Some(file_name)) = (absolute.parent(), absolute.file_name()) else {
        bail!("{} is not the path of a new folder", folder.display());
    };
    if absolute.to_str().is_none() {
        bail!(
            "could not make {}: Cargo builds no project in a folder whose path is not UTF-8",
            folder.display()
        );
    }
    // Without `..`, by which the folders above would include ones that the project is not in.
    let parent = parent.canonicalize().with_context(|| {
        format!(
            "could not make {}: there is no folder {}",
            folder.display(),
            parent.display()
        )
    })?;
    let temporary = tempfile::Builder::new()
        .prefix(".stagelink-new-")
        .tempdir_in(&parent)
        .with_context(|| format!("could not write in {}", parent.display()))?;
    // One level deeper, so that the project gets the default permissions of a new folder. Those of
    // a temporary folder are narrower.
    let project = temporary.path().join("project");
    template::write(&project, name, sdk)?;
    match vcs {
        Some(Vcs::Git) => git_init(&project)?,
        Some(Vcs::None) => {}
        None if is_in_repository(&parent) => {}
        // The project works without git too.
        None => drop(git_init(&project)),
    }
    std::fs::rename(&project, parent.join(file_name))
        .with_context(|| format!("could not make {}", folder.display()))
}

/// Returns whether a folder, given without `..`, is in a Git repository.
fn is_in_repository(folder: &Path) -> bool {
    folder
        .ancestors()
        .any(|ancestor| ancestor.join(".git").exists())
}

/// Makes a folder a Git repository.
fn git_init(project: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("git");
    // Its settings may name a program, as an `init.templateDir` or a monitor of files does.
    operator_secrets::withhold(&mut command);
    let output = command
        // Git sets these in its hooks, to the repository of the hook.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .args(["init", "--quiet", "--initial-branch", "main"])
        .current_dir(project)
        .stdin(Stdio::null())
        .output()
        .context("could not run git init")?;
    if !output.status.success() {
        bail!(
            "git init failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_may_be_the_path_of_the_folder() {
        let both = |name, path: Option<&str>| {
            let (name, folder) = name_and_folder(name, path.map(Path::new)).unwrap();
            (name.to_string(), folder)
        };
        assert_eq!(both("shop", None), ("shop".to_owned(), "shop".into()));
        assert_eq!(both("../shop", None), ("shop".to_owned(), "../shop".into()));
        assert_eq!(both("shop", Some("a/b")), ("shop".to_owned(), "a/b".into()));
        for name in ["..", "../Shop", "a/", "/"] {
            let refused = name_and_folder(name, None).is_err();
            assert_eq!(refused, name != "a/", "{name}");
        }
        assert!(name_and_folder("../shop", Some(Path::new("b"))).is_err());
    }

    fn name() -> ProjectName {
        "shop".parse().unwrap()
    }

    fn sdk() -> SdkSource {
        SdkSource::of_this_command().unwrap()
    }

    #[test]
    fn project_is_complete_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("shop");
        create(&folder, &name(), &sdk(), Some(Vcs::Git)).unwrap();
        for file in [
            "Cargo.toml",
            "Cargo.lock",
            ".git/HEAD",
            ".gitignore",
            ".github/workflows/site.yml",
        ] {
            assert!(folder.join(file).is_file(), "{file}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn existing_folder_is_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let error = create(dir.path(), &name(), &sdk(), None).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let gone = SdkSource::Checkout(dir.path().join("gone"));
        create(&dir.path().join("shop"), &name(), &gone, None).unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let error = create(&dir.path().join("no/shop"), &name(), &sdk(), None).unwrap_err();
        assert!(error.to_string().contains("there is no folder"), "{error}");
    }

    #[test]
    fn folder_in_which_cargo_would_build_nothing_is_refused() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;

        let dir = tempfile::tempdir().unwrap();
        let latin1 = dir.path().join(OsStr::from_bytes(b"caf\xe9"));
        std::fs::create_dir(&latin1).unwrap();
        let error = create(&latin1.join("shop"), &name(), &sdk(), None).unwrap_err();
        assert!(error.to_string().contains("not UTF-8"), "{error}");
        assert_eq!(std::fs::read_dir(&latin1).unwrap().count(), 0);
    }

    #[test]
    fn project_in_a_repository_gets_none_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        git_init(dir.path()).unwrap();
        let folder = dir.path().join("shop");
        create(&folder, &name(), &sdk(), None).unwrap();
        assert!(!folder.join(".git").exists());
    }

    #[test]
    fn project_beside_a_repository_gets_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let checkout = dir.path().join("checkout");
        std::fs::create_dir(&checkout).unwrap();
        git_init(&checkout).unwrap();
        create(&checkout.join("../shop"), &name(), &sdk(), None).unwrap();

        let top = Command::new("git")
            .args(["rev-parse", "--show-toplevel"])
            .current_dir(dir.path().join("shop"))
            .output()
            .unwrap();
        let top = String::from_utf8(top.stdout).unwrap();
        let shop = dir.path().join("shop").canonicalize().unwrap();
        assert_eq!(Path::new(top.trim()), shop);
    }
}
