//! The folder of a project, checked before a command starts to work in it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use stagelink_pipeline::SettingsFile;

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

/// Returns the folder of a project's migrations: that of `stagelink.toml`, else `migrations`.
pub(crate) fn migrations_folder(project: &Path, file: Option<&SettingsFile>) -> PathBuf {
    file.map_or_else(|| project.join("migrations"), SettingsFile::migrations)
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
    fn missing_folder_is_named() {
        let error = open(Path::new("no/such/folder")).unwrap_err().to_string();
        assert!(error.contains("no/such/folder"), "{error}");
    }
}
