//! The list of the project's migrations, which a build writes into each program.

use std::path::Path;

use stagelink_pipeline::{MigrationFolder, MigrationList};

use crate::project::{self, migrations_folder};

/// Returns the list of a project's migrations; it is empty where the project has no folder for them.
///
/// # Errors
///
/// A note for the user: the folder, or `stagelink.toml`, cannot be read. A program without a list
/// runs all the same, but which migrations it needs is unknown.
pub(super) fn list(project: &Path) -> Result<MigrationList, String> {
    let list = || -> anyhow::Result<MigrationList> {
        let file = project::settings_file(project)?;
        let folder = migrations_folder(project, file.as_ref());
        // A folder that is named must be there.
        if folder == project.join("migrations") && !folder.exists() {
            return Ok(MigrationList::default());
        }
        Ok(MigrationList::of(&MigrationFolder::read(&folder)?))
    };
    list().map_err(|error| {
        format!("the programs do not say which migrations they need, since {error}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_without_migrations_has_an_empty_list_and_an_unreadable_one_none() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join("migrations");
        assert_eq!(list(project.path()), Ok(MigrationList::default()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("V1__a.sql"), "CREATE TABLE a ();").unwrap();
        assert_eq!(list(project.path()).unwrap().migrations().len(), 1);
        std::fs::write(folder.join("5_b.sql"), "CREATE TABLE b ();").unwrap();
        let note = list(project.path()).unwrap_err();
        assert!(note.contains("rename it to V5__b.sql"), "{note}");
    }

    #[test]
    fn folder_of_the_settings_file_is_listed() {
        let project = tempfile::tempdir().unwrap();
        let settings = project.path().join("stagelink.toml");
        std::fs::write(settings, "migrations.folder = \"db\"").unwrap();
        let note = list(project.path()).unwrap_err();
        assert!(note.contains("db"), "{note}");
        std::fs::create_dir(project.path().join("db")).unwrap();
        assert_eq!(list(project.path()), Ok(MigrationList::default()));
    }
}
