//! The stage that an argument of the command line names.

use anyhow::anyhow;
use clap::CommandFactory as _;
use stagelink::{Stage, StageKind};
use stagelink_pipeline::SettingsFile;

use crate::args::MigrateOptions;
use crate::port_hint::port_hint;
use crate::usage_error::of_usage;

/// Returns the stage that an operator names: by its name in `stagelink.toml`, or by its written form
/// (`staging`, `staging/qa`).
///
/// # Errors
///
/// A text that is neither, as an error of usage. The message has the text, the stages of the project,
/// and the nearest name.
pub(crate) fn parse(text: &str, file: Option<&SettingsFile>) -> anyhow::Result<Stage> {
    let text = text.trim();
    let unknown = match file {
        Some(file) => match file.find_stage(text) {
            Ok(stage) if is_known(stage, file) => return Ok(stage),
            Ok(stage) => match file.stage(stage) {
                Ok(_) => return Ok(stage),
                Err(error) => return Err(of_usage(error)),
            },
            Err(error) => error.to_string(),
        },
        None => match text.parse::<Stage>() {
            Ok(stage) => return Ok(stage),
            Err(error) => error.to_string(),
        },
    };
    Err(of_usage(
        match (nearest(text, &names(file)), port_hint(text)) {
            (Some(name), _) => anyhow!("{unknown}; did you mean {name}?"),
            (None, Some(hint)) => anyhow!("{unknown}{hint}"),
            (None, None) => anyhow!(unknown),
        },
    ))
}

/// Returns whether a project may have a stage: one that its file names, a preview, and any where the file names
/// none or the environment says where the database is.
fn is_known(stage: Stage, file: &SettingsFile) -> bool {
    let of_environment = std::env::var_os("STAGELINK_PROVIDER").is_some();
    let stages = file.stages();
    stages.is_empty()
        || stages.contains_key(&stage)
        || stage.kind() == StageKind::Review
        || of_environment
}

/// Returns the names of the stages that a project has, for an error: `staging, qa or production`.
pub(crate) fn listed(file: Option<&SettingsFile>) -> String {
    let mut names = names(file);
    match (names.pop(), names.is_empty()) {
        (Some(last), false) => format!("{} or {last}", names.join(", ")),
        (last, _) => last.unwrap_or_default().to_owned(),
    }
}

/// Returns a note for each stage of the file that is called as a command of `stagelink migrate` is: the
/// command comes first, so the stage needs its written form.
pub(crate) fn notes_on_commands(file: &SettingsFile) -> Vec<String> {
    let migrate = MigrateOptions::command();
    let commands = migrate.get_subcommands().map(clap::Command::get_name);
    let commands: Vec<_> = commands.chain(["help"]).collect();
    let stages = file.stages().keys();
    let called_so = stages.filter(|stage| commands.contains(&stage.name()));
    called_so
        .map(|stage| {
            format!(
                "stage {} is called as a command of `stagelink migrate`: write `stagelink migrate \
                 {stage}` for it",
                stage.name()
            )
        })
        .collect()
}

/// The names of the stages of the file; without one, those that each project may have.
fn names(file: Option<&SettingsFile>) -> Vec<&str> {
    let of_file = file.map(SettingsFile::stages).into_iter().flatten();
    let of_file: Vec<_> = of_file.map(|(stage, _)| stage.name()).collect();
    if !of_file.is_empty() {
        return of_file;
    }
    let kinds = [
        StageKind::Review,
        StageKind::Development,
        StageKind::Staging,
        StageKind::Production,
    ];
    kinds.map(StageKind::as_str).to_vec()
}

/// Returns the name that a text is most likely meant for: one that it begins, or with few other
/// letters.
fn nearest<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    let text = text.to_lowercase();
    let begun = |name: &&&str| text.len() >= 3 && name.starts_with(&text);
    if let Some(name) = names.iter().find(begun) {
        return Some(name);
    }
    let with_distances = names.iter().map(|name| (edit_distance(&text, name), *name));
    let near = with_distances.filter(|(distance, name)| *distance <= (name.len() / 4).max(1));
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Returns the number of letters to insert, delete or replace to make one text of the other.
fn edit_distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    // An argument may have any length, and no stage has a longer name.
    for (above, letter) in one.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, own) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(*own != letter);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_stage_is_told_with_the_nearest_name_of_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[stages.staging]\n[stages.qa]\nkind = \"staging\"\n[stages.production]\n";
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        let file = SettingsFile::load(folder.path()).unwrap();
        for (file, typed, expected) in [
            (None, "prod", Some("production")),
            (None, "stagin", Some("staging")),
            (None, "Staging", Some("staging")),
            (None, "developement", Some("development")),
            (None, "qa", None),
            (None, "", None),
            (file.as_ref(), "q", Some("qa")),
            (file.as_ref(), "prodution", Some("production")),
            (file.as_ref(), "nowhere", None),
            (file.as_ref(), "dev", None),
        ] {
            let error = parse(typed, file).unwrap_err();
            // A cause would say it again.
            assert_eq!(error.chain().count(), 1, "{error:#}");
            let error = error.to_string();
            let meant = error.split_once("; did you mean ").map(|(_, meant)| meant);
            assert_eq!(
                meant,
                expected.map(|name| format!("{name}?")).as_deref(),
                "{error}"
            );
            assert!(error.contains(&format!("stage {typed:?}")), "{error}");
        }
        assert_eq!(listed(file.as_ref()), "staging, qa or production");
        assert_eq!(listed(None), "review, development, staging or production");
    }

    #[test]
    fn stage_that_the_file_does_not_have_is_an_error_of_usage_with_those_that_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let text = "heroku.pipeline = \"shop\"\n[stages.staging]\n[stages.production]\n";
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        let file = SettingsFile::load(folder.path()).unwrap();
        for typed in ["nope", "development", "staging/qa"] {
            let error = parse(typed, file.as_ref()).unwrap_err();
            assert_eq!(crate::usage_error::exit_code(&error, 1), 2, "{typed}");
            let text = error.to_string();
            let part = format!("has no stage {typed:?}: it has staging and production; ");
            assert!(text.contains(&part), "{text}");
        }
        for typed in ["staging", "review", "review/pr"] {
            assert!(parse(typed, file.as_ref()).is_ok(), "{typed}");
        }
    }

    #[test]
    fn stage_that_is_called_as_a_command_of_migrate_is_noted_with_its_written_form() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[stages.staging]\n[stages.new]\nkind = \"staging\"\n[stages.drift]\n\
                    kind = \"production\"\n[stages.help]\nkind = \"review\"\n[stages.news]\n\
                    kind = \"staging\"\n[stages.widen-history]\nkind = \"development\"\n";
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        let file = SettingsFile::load(folder.path()).unwrap().unwrap();
        let notes = notes_on_commands(&file);
        assert_eq!(notes.len(), 4, "{notes:?}");
        for written in [
            "staging/new",
            "production/drift",
            "review/help",
            "development/widen-history",
        ] {
            let form = format!("`stagelink migrate {written}`");
            assert!(notes.iter().any(|note| note.contains(&form)), "{notes:?}");
            assert!(parse(written, Some(&file)).is_ok());
        }
    }
}
