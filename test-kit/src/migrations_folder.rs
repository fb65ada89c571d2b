//! The folder of a project's migrations, where a test names none: as `stagelink dev` finds it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;
use crate::migrations::Migrations;

/// The keys of `stagelink.toml` that the test kit reads. The commands check the others.
#[derive(Default, Deserialize)]
struct Document {
    #[serde(default)]
    migrations: MigrationsTable,
}

#[derive(Default, Deserialize)]
struct MigrationsTable {
    folder: Option<PathBuf>,
}

/// Reads the migrations of the project that a package belongs to. A project without a folder of
/// migrations has none.
///
/// # Errors
///
/// When `stagelink.toml` cannot be used, the folder that it names cannot be read, or a migration cannot.
pub(crate) fn read(package: &Path) -> Result<Migrations, Error> {
    let settings = nearest_settings(package);
    if let Some(file) = &settings
        && let Some(folder) = named_folder(file)?
    {
        // A misspelled folder is no absent one: the tests would get an empty database. Its name is not
        // shown, since a secret may stand there by mistake.
        if !folder.is_dir() {
            return Err(Error::new(format!(
                "there is no folder as migrations.folder of {} names it: correct the setting, or name \
                 another folder in the attribute of the test, as migrations = \"path\"",
                file.display()
            )));
        }
        return Migrations::read(&folder);
    }
    let beside_settings = || {
        let folder = settings.as_deref()?.parent()?.join("migrations");
        folder.is_dir().then_some(folder)
    };
    match nearest_folder(package).or_else(beside_settings) {
        Some(folder) => Migrations::read(&folder),
        None => Ok(Migrations::default()),
    }
}

/// Returns the nearest `stagelink.toml`, from the package's folder up to that of its Git repository. Without a
/// repository the folder with `Cargo.lock` is the last.
fn nearest_settings(package: &Path) -> Option<PathBuf> {
    let with = |name: &str| package.ancestors().find(|above| above.join(name).exists());
    let last = with(".git").or_else(|| with("Cargo.lock"));
    let last = last.unwrap_or(package);
    let inside = package
        .ancestors()
        .take_while(|above| above.starts_with(last));
    let mut files = inside.map(|above| above.join(SETTINGS_FILE));
    // A link that leads nowhere is a mistake, and not the lack of a file.
    files.find(|file| file.symlink_metadata().is_ok())
}

/// Returns the folder that a settings file names for the migrations.
fn named_folder(file: &Path) -> Result<Option<PathBuf>, Error> {
    let text = fs::read_to_string(file)
        .map_err(|error| Error::with_source(format!("could not read {}", file.display()), error))?;
    // Neither the text nor the cause is shown: either may repeat a value that is a secret.
    let unusable = |line: usize| {
        Error::new(format!(
            "could not use line {line} of {} to find the migrations: `stagelink doctor` says what is \
             wrong with it",
            file.display()
        ))
    };
    let document: Document = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        unusable(before.unwrap_or_default().matches('\n').count() + 1)
    })?;
    let Some(folder) = document.migrations.folder else {
        return Ok(None);
    };
    if folder.as_os_str().is_empty() {
        return Err(Error::new(format!(
            "migrations.folder of {} is empty: set it, or remove the key",
            file.display()
        )));
    }
    let project = file.parent().unwrap_or(Path::new(""));
    Ok(Some(project.join(folder)))
}

/// Returns the nearest folder `migrations`, from the package's folder up to the workspace's.
fn nearest_folder(package: &Path) -> Option<PathBuf> {
    for folder in package.ancestors() {
        let migrations = folder.join("migrations");
        if migrations.is_dir() {
            return Some(migrations);
        }
        if folder.join("Cargo.lock").exists() {
            return None;
        }
    }
    None
}

const SETTINGS_FILE: &str = "stagelink.toml";

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with a package, its only migration in `db`, and such a settings file.
    fn workspace(settings: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let workspace = root.path().join("workspace");
        let package = workspace.join("functions/notes");
        fs::create_dir_all(&package).unwrap();
        fs::create_dir(workspace.join("db")).unwrap();
        fs::write(workspace.join("db/V1__notes.sql"), "CREATE TABLE notes ()").unwrap();
        fs::write(workspace.join("Cargo.lock"), "").unwrap();
        fs::write(workspace.join(SETTINGS_FILE), settings).unwrap();
        (root, workspace, package)
    }

    fn template_of(folder: &Path) -> String {
        Migrations::read(folder).unwrap().template_name()
    }

    #[test]
    fn folder_that_the_settings_file_names_counts_before_a_nearer_one() {
        let settings = "[netlify]\nsite = \"notes\"\n\n[migrations]\nfolder = \"db\"\n";
        let (_root, workspace, package) = workspace(settings);
        let named = template_of(&workspace.join("db"));
        assert_eq!(read(&package).unwrap().template_name(), named);
        fs::create_dir(package.join("migrations")).unwrap();
        assert_eq!(read(&package).unwrap().template_name(), named);
        // The file of the repository that the workspace is in counts, too, and none beyond it.
        let outer = workspace.parent().unwrap();
        fs::create_dir(outer.join(".git")).unwrap();
        fs::rename(workspace.join(SETTINGS_FILE), outer.join(SETTINGS_FILE)).unwrap();
        fs::rename(workspace.join("db"), outer.join("db")).unwrap();
        assert_eq!(read(&package).unwrap().template_name(), named);
        fs::create_dir(workspace.join(".git")).unwrap();
        assert_ne!(read(&package).unwrap().template_name(), named);
    }

    #[test]
    fn folder_beside_a_settings_file_above_the_workspace_is_found() {
        let (_root, workspace, package) = workspace("");
        let outer = workspace.parent().unwrap();
        fs::create_dir(outer.join(".git")).unwrap();
        fs::rename(workspace.join(SETTINGS_FILE), outer.join(SETTINGS_FILE)).unwrap();
        fs::rename(workspace.join("db"), outer.join("migrations")).unwrap();
        let found = read(&package).unwrap().template_name();
        assert_eq!(found, template_of(&outer.join("migrations")));
    }

    #[test]
    fn setting_that_cannot_be_used_is_an_error_without_its_value() {
        for (settings, reason) in [
            (
                "migrations.folder = \"postgres://u:c4n4ry@h/d\"",
                "migrations = \"path\"",
            ),
            ("migrations.folder = \"\"", "is empty"),
            ("\n[migrations]\nfolder = [\"c4n4ry\"]", "line 3 of"),
            ("[migrations]\nfolder = c4n4ry\"", "line 2 of"),
        ] {
            let (_root, workspace, package) = workspace(settings);
            let error = read(&package).unwrap_err();
            let shown = format!("{error:?}");
            assert!(shown.contains(reason), "{shown}");
            let file = workspace.join(SETTINGS_FILE);
            assert!(shown.contains(&*file.to_string_lossy()), "{shown}");
            assert!(!shown.contains("c4n4ry"), "{shown}");
        }
    }

    #[test]
    fn nearest_folder_is_sought_up_to_the_workspace() {
        let root = tempfile::tempdir().unwrap();
        let workspace = root.path().join("workspace");
        let package = workspace.join("functions/notes");
        fs::create_dir_all(&package).unwrap();
        fs::create_dir(root.path().join("migrations")).unwrap();
        fs::write(workspace.join("Cargo.lock"), "").unwrap();
        assert_eq!(nearest_folder(&package), None);
        fs::create_dir(workspace.join("migrations")).unwrap();
        let found = nearest_folder(&package);
        assert_eq!(found, Some(workspace.join("migrations")));
        fs::create_dir(package.join("migrations")).unwrap();
        let found = nearest_folder(&package);
        assert_eq!(found, Some(package.join("migrations")));
    }
}
