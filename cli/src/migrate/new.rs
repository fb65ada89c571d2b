//! `stagelink migrate new`: creates a migration with the next number.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;
use stagelink_pipeline::{MigrationFolder, SettingsFile};

use crate::args::NewMigrationOptions;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::usage_error::of_usage;

/// Creates the file, and prints its path.
pub(super) fn run(options: &NewMigrationOptions) -> anyhow::Result<()> {
    match (create(options), options.json) {
        (Ok(file), true) => print_json(&json!({ "file": file })),
        (Ok(file), false) => print(file.display()),
        (Err(error), true) => {
            print_json(&Failure::new(&error))?;
            Err(error)
        }
        (Err(error), false) => Err(error),
    }
}

fn create(options: &NewMigrationOptions) -> anyhow::Result<PathBuf> {
    let path = super::folder(&options.project, options.migrations.as_deref())?;
    if !path.exists() {
        if options.migrations.is_none() {
            ensure_project(&options.project).map_err(of_usage)?;
        }
        let created = fs::create_dir_all(&path);
        created.with_context(|| format!("could not create the folder {}", path.display()))?;
    }
    let folder = MigrationFolder::read(&path)?;
    Ok(folder.create_file(&options.name, options.timestamp)?)
}

/// Makes sure that a folder is a project, before its first migration makes a folder in it.
fn ensure_project(folder: &Path) -> anyhow::Result<()> {
    let is_project = folder.join("functions").is_dir()
        || (folder.is_dir() && SettingsFile::load(folder)?.is_some());
    if !is_project {
        bail!(
            "{} is not a stagelink project: it has no migrations yet, and neither stagelink.toml nor a \
             folder functions/. Name the project with --project, or the folder of its migrations with \
             --migrations",
            folder.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(project: &Path, migrations: Option<&Path>) -> anyhow::Result<()> {
        run(&NewMigrationOptions {
            name: "add_mail".to_owned(),
            timestamp: false,
            project: project.to_owned(),
            migrations: migrations.map(Path::to_owned),
            json: false,
        })
    }

    #[test]
    fn first_migration_is_made_in_a_project_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [missing, other] = ["nosuch", "other"].map(|name| folder.path().join(name));
        fs::create_dir(&other).unwrap();
        for project in [&missing, &other] {
            let error = new(project, None).unwrap_err();
            assert!(
                error.to_string().contains("is not a stagelink project"),
                "{error}"
            );
        }
        assert!(!missing.exists() && !other.join("migrations").exists());
        // A folder that is named is meant.
        new(&missing, Some(&other.join("sql"))).unwrap();
        assert!(other.join("sql/V1__add_mail.sql").exists());
        fs::create_dir(other.join("functions")).unwrap();
        new(&other, None).unwrap();
        assert!(other.join("migrations/V1__add_mail.sql").exists());
        let settings = folder.path().join("settings");
        fs::create_dir(&settings).unwrap();
        fs::write(settings.join("stagelink.toml"), "[stages.staging]\n").unwrap();
        new(&settings, None).unwrap();
        assert!(settings.join("migrations/V1__add_mail.sql").exists());
    }
}
