//! `stagelink new`: a project of one's own that builds, tests and runs at once.

mod name;
mod sdk;
mod template;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use self::name::ProjectName;
use self::sdk::SdkSource;
use crate::args::{NewOptions, Vcs};

/// Makes the project and says what to do in it.
///
/// # Errors
///
/// When the name is none that Heroku would take, the folder exists, the SDK is not where it
/// was said to be, or a file cannot be written. Nothing is left of the project then.
pub fn run(options: &NewOptions) -> anyhow::Result<()> {
    let (name, folder) = name_and_folder(&options.name, options.path.as_deref())?;
    let sdk = options
        .sdk
        .as_deref()
        .map_or_else(SdkSource::of_this_build, SdkSource::parse)?;
    create(&folder, &name, &sdk, options.vcs)?;
    println!(
        "The project {name} is in {}. It has two commands:\n\n  \
         scripts/dev    # the site with its stages, on this machine\n  \
         cargo test     # its tests, against the same",
        folder.display()
    );
    if let SdkSource::Checkout(checkout) = &sdk {
        println!(
            "\nIts SDK is the checkout in {}. Before another machine builds it, name the \
             repository instead: see README.md.",
            checkout.display()
        );
    }
    Ok(())
}

/// As with `cargo new`, a path may stand for the name, which is its last part then.
fn name_and_folder(name: &str, path: Option<&Path>) -> anyhow::Result<(ProjectName, PathBuf)> {
    if let Some(path) = path {
        return Ok((name.parse()?, path.to_owned()));
    }
    let folder = PathBuf::from(name);
    let last = folder.file_name().and_then(|last| last.to_str());
    Ok((last.unwrap_or(name).parse()?, folder))
}

/// Everything or nothing: the files are written beside the folder, which gets its name last.
fn create(
    folder: &Path,
    name: &ProjectName,
    sdk: &SdkSource,
    vcs: Option<Vcs>,
) -> anyhow::Result<()> {
    if folder.symlink_metadata().is_ok() {
        bail!(
            "{} exists already, and nothing that exists is changed: choose another folder by --path",
            folder.display()
        );
    }
    let absolute =
        std::path::absolute(folder).with_context(|| format!("{} is no path", folder.display()))?;
    let parent = absolute
        .parent()
        .with_context(|| format!("{} is no folder to make", folder.display()))?;
    if !parent.is_dir() {
        bail!(
            "could not make {}: there is no folder {}",
            folder.display(),
            parent.display()
        );
    }
    let workplace = tempfile::Builder::new()
        .prefix(".stagelink-new-")
        .tempdir_in(parent)
        .with_context(|| format!("could not write in {}", parent.display()))?;
    // One deeper, so that the project gets the rights that folders get here, and not those of
    // a temporary one.
    let project = workplace.path().join("project");
    template::write(&project, name, sdk)?;
    match vcs {
        Some(Vcs::Git) => git_init(&project)?,
        Some(Vcs::None) => {}
        None if in_repository(parent) => {}
        // Without git the project is good all the same.
        None => drop(git_init(&project)),
    }
    std::fs::rename(&project, &absolute)
        .with_context(|| format!("could not make {}", folder.display()))
}

/// Whether a folder lies in a Git repository.
fn in_repository(folder: &Path) -> bool {
    folder
        .ancestors()
        .any(|ancestor| ancestor.join(".git").exists())
}

fn git_init(project: &Path) -> anyhow::Result<()> {
    let output = Command::new("git")
        // A hook of git that runs this may have set it to the repository around it.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .args(["init", "--quiet", "--initial-branch", "main"])
        .current_dir(project)
        .stdin(Stdio::null())
        .output()
        .context("could not start git to begin a repository")?;
    if !output.status.success() {
        bail!(
            "could not begin a Git repository: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_may_be_that_of_the_folder_to_make() {
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
        SdkSource::of_this_build().unwrap()
    }

    #[test]
    fn project_is_there_whole_and_nothing_beside_it() {
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
    fn folder_that_exists_is_not_touched() {
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
    fn repository_around_it_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        let folder = dir.path().join("shop");
        create(&folder, &name(), &sdk(), None).unwrap();
        assert!(!folder.join(".git").exists());
    }
}
