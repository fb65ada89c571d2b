//! The folder of a project, checked before a command starts to work in it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context as _, bail};
use stagelink_pipeline::{Error, MigrationFolder, SETTINGS_FILE, SettingsFile};

use crate::operator_secrets;
use crate::output::note;
use crate::stage_name;
use crate::usage_error::of_usage;

/// Returns the absolute path of a project's folder.
///
/// # Errors
///
/// When there is no such folder, or none named `functions` in it; the error says how to make a
/// project.
pub(crate) fn open(folder: &Path) -> anyhow::Result<PathBuf> {
    let project = folder
        .canonicalize()
        .with_context(|| format!("could not open the project folder {}", folder.display()))?;
    if !project.join("functions").is_dir() {
        bail!(
            "{} is not a stagelink project: it has no folder functions/. Run `stagelink new NAME` \
             to make a project, or name the folder of one: `stagelink dev --project DIR`, or \
             `stagelink build --project DIR`",
            project.display()
        );
    }
    Ok(project)
}

/// Returns the folder of the project that a folder is in, as stagelink.toml is found: the nearest
/// above it in its Git repository that has the file, or functions/ in a Cargo workspace. Else it is
/// the folder itself. `folder` is absolute.
pub(crate) fn containing(folder: &Path) -> &Path {
    let Some(repository) = folder.ancestors().find(|above| above.join(".git").exists()) else {
        return folder;
    };
    let is_project = |above: &&Path| {
        above.join(SETTINGS_FILE).exists()
            || (above.join("functions").is_dir() && above.join("Cargo.toml").exists())
    };
    let mut inside = folder
        .ancestors()
        .take_while(|above| above.starts_with(repository));
    inside.find(is_project).unwrap_or(folder)
}

/// Reads the settings file of a project, or returns `None` if it has none. The variables of its stages'
/// database URLs are withheld from builds from then on. The first time it notes the stages that one of the
/// commands takes for something else.
///
/// # Errors
///
/// Those of [`SettingsFile::load`], as errors of usage: in each command a file that cannot be used has the exit
/// code of arguments that cannot.
pub(crate) fn settings_file(project: &Path) -> anyhow::Result<Option<SettingsFile>> {
    static NOTED: Once = Once::new();
    let file = SettingsFile::load(project).map_err(of_usage)?;
    file.iter().for_each(operator_secrets::add_url_variables);
    NOTED.call_once(|| {
        for text in file.iter().flat_map(stage_name::notes_on_commands) {
            note(format_args!("  ! {text}"));
        }
    });
    Ok(file)
}

/// Returns the folder of a project's migrations: that of `stagelink.toml`, else `migrations`.
pub(crate) fn migrations_folder(project: &Path, file: Option<&SettingsFile>) -> PathBuf {
    file.map_or_else(|| project.join("migrations"), SettingsFile::migrations)
}

/// Returns the folder of a project's migrations, or `None` where the project has none. One that
/// `stagelink.toml` names is returned whether it exists or not: a misspelled one is no absent one. So
/// is a link that leads nowhere, and a folder that may not be looked at.
pub(crate) fn present_migrations_folder(
    project: &Path,
    file: Option<&SettingsFile>,
) -> Option<PathBuf> {
    let folder = migrations_folder(project, file);
    let is_named = file.is_some_and(SettingsFile::names_migrations);
    let is_missing = || {
        let found = folder.symlink_metadata();
        found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    (is_named || !is_missing()).then_some(folder)
}

/// Reads the migrations of a project; `None` where it has none.
///
/// # Errors
///
/// Those of the folder and its files.
pub(crate) fn migrations(
    project: &Path,
    file: Option<&SettingsFile>,
) -> Result<Option<MigrationFolder>, Error> {
    let folder = present_migrations_folder(project, file);
    folder
        .map(|folder| MigrationFolder::read(&folder))
        .transpose()
}

/// Returns the folder of a project as a command finds it from a folder in it: that of
/// `stagelink.toml`, or the given folder where there is no such file.
pub(crate) fn root(folder: &Path, file: Option<&SettingsFile>) -> PathBuf {
    let of_file = file.and_then(|file| file.path().parent());
    of_file.unwrap_or(folder).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_that_is_no_project_is_reported_with_the_command_that_makes_one() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("stagelink new NAME"), "{error}");
        std::fs::create_dir(dir.path().join("functions")).unwrap();
        assert!(open(dir.path()).unwrap().is_absolute());
    }

    #[test]
    fn project_is_found_from_a_folder_in_it_and_not_beyond_its_repository() {
        let root = tempfile::tempdir().unwrap();
        let shop = root.path().join("shop");
        let function = shop.join("functions/hello");
        std::fs::create_dir_all(&function).unwrap();
        let is_found = || containing(&function) == shop;
        std::fs::write(root.path().join("stagelink.toml"), "").unwrap();
        std::fs::write(shop.join("Cargo.toml"), "[workspace]").unwrap();
        // Without a repository nothing says where a project ends.
        assert_eq!(containing(&function), function);
        std::fs::create_dir(shop.join(".git")).unwrap();
        assert!(is_found());
        std::fs::remove_file(shop.join("Cargo.toml")).unwrap();
        assert_eq!(containing(&function), function);
        std::fs::write(shop.join("stagelink.toml"), "").unwrap();
        assert!(is_found());
        assert_eq!(containing(&shop), shop);
    }

    #[test]
    fn missing_folder_is_named() {
        let error = open(Path::new("no/such/folder")).unwrap_err().to_string();
        assert!(error.contains("no/such/folder"), "{error}");
    }
}
