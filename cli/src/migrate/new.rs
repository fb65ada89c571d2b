//! `stagelink migrate new`: creates a migration with the next number.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;
use stagelink_pipeline::MigrationFolder;

use crate::args::NewMigrationOptions;
use crate::failure::Failure;
use crate::output::{note, print, print_json};
use crate::project;
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
    let file = folder.create_file(&options.name, options.timestamp)?;
    let created = file.file_name().unwrap_or_default().to_string_lossy();
    for line in notes(&folder, &options.name, &created) {
        note(line);
    }
    Ok(file)
}

/// Returns what to know about a new file: that it has no statement yet, and what its name may surprise by.
fn notes(folder: &MigrationFolder, named: &str, created: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let name = |file: &str| {
        let name = file.split_once("__").map_or(file, |(_, name)| name);
        name.trim_end_matches(".sql").to_owned()
    };
    if !name(named).eq(&name(created)) {
        notes.push(format!(
            "note: {named:?} became {created}: a name has small letters, digits and _"
        ));
    }
    let mut others = folder.files().iter();
    if let Some(other) = others.find(|other| other.name() == name(created)) {
        notes.push(format!("note: {} has the same name", other.path()));
    }
    notes.push(format!(
        "note: write its SQL before the next `stagelink migrate`, which refuses all files while \
         {created} has no statement"
    ));
    let empty = folder.empty_files().map(|file| file.path().to_owned());
    notes.extend(empty.map(|other| format!("note: {other} has no statement yet, either")));
    notes
}

/// Makes sure that a folder is a project, before its first migration makes a folder in it.
fn ensure_project(folder: &Path) -> anyhow::Result<()> {
    let is_project = folder.join("functions").is_dir()
        || (folder.is_dir() && project::settings_file(folder)?.is_some());
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
    fn notes_say_what_a_new_file_blocks_and_what_became_of_its_name() {
        let path = tempfile::tempdir().unwrap();
        fs::write(path.path().join("V1__add_mail.sql"), "-- nothing yet").unwrap();
        let folder = MigrationFolder::read(path.path()).unwrap();
        let plain = notes(&folder, "index", "V2__index.sql");
        assert!(
            plain[0].contains("refuses all files while V2__index.sql has no"),
            "{plain:?}"
        );
        assert!(
            plain[1].contains("V1__add_mail.sql has no statement yet"),
            "{plain:?}"
        );
        let odd = notes(&folder, "Add mail!", "V2__add_mail.sql");
        assert!(
            odd[0].contains("\"Add mail!\" became V2__add_mail.sql"),
            "{odd:?}"
        );
        assert!(
            odd[1].contains("V1__add_mail.sql has the same name"),
            "{odd:?}"
        );
        for same in ["V9__index.sql", "index.sql", "index"] {
            assert_eq!(notes(&folder, same, "V2__index.sql"), plain, "{same}");
        }
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
