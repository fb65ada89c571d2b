//! The tokens and database URLs of an operator, which no program of a project gets as it is built: a build
//! script is code of any dependency.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use stagelink_pipeline::{SettingsFile, StageProvider};

/// Removes the tokens from what a program inherits, and the database URLs that a settings file names.
/// `DATABASE_URL` stays, since macros of sqlx connect with it, and so do the credentials of AWS and of registries.
pub(crate) fn withhold(command: &mut Command) {
    let urls = URL_VARIABLES.lock().unwrap_or_else(PoisonError::into_inner);
    for name in SECRETS.into_iter().chain(urls.iter().map(String::as_str)) {
        command.env_remove(name);
    }
}

/// Has the variables that a settings file names as the database URLs of its stages withheld from now on. The
/// commit that a promotion builds has a file of its own, which cannot take one back.
pub(crate) fn add_url_variables(file: &SettingsFile) {
    let mut urls = URL_VARIABLES.lock().unwrap_or_else(PoisonError::into_inner);
    for stage in file.stages().values() {
        if let Some(StageProvider::Url { variable }) = stage.provider()
            && variable != "DATABASE_URL"
        {
            urls.insert(variable.clone());
        }
    }
}

/// Does so for the file of a project. A build goes on where it cannot be read, and says so elsewhere.
pub(crate) fn add_url_variables_of(project: &Path) {
    if let Ok(Some(file)) = SettingsFile::load(project) {
        add_url_variables(&file);
    }
}

/// The variables that the settings files of this process name.
static URL_VARIABLES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The variables of the tokens of the control plane, of a function's own secrets, and of a Postgres.
const SECRETS: [&str; 8] = [
    "HEROKU_API_KEY",
    "NEON_API_KEY",
    "NETLIFY_AUTH_TOKEN",
    "PGPASSWORD",
    "RENDER_API_KEY",
    "STAGELINK_CREDENTIALS",
    "STAGELINK_POSTGRES",
    "STAGELINK_SELF_CHECK_KEY",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project;

    /// Returns what a program does not get.
    fn withheld() -> BTreeSet<String> {
        let mut command = Command::new("cargo");
        command.env("DATABASE_URL", "x");
        withhold(&mut command);
        let variables = command.get_envs();
        let removed = variables.filter(|(_, value)| value.is_none());
        removed
            .map(|(name, _)| name.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn tokens_are_withheld_and_other_variables_stay() {
        let withheld = withheld();
        for name in [
            "HEROKU_API_KEY",
            "NETLIFY_AUTH_TOKEN",
            "PGPASSWORD",
            "STAGELINK_POSTGRES",
        ] {
            assert!(withheld.contains(name), "{name}");
        }
        for name in ["DATABASE_URL", "PATH", "AWS_SECRET_ACCESS_KEY"] {
            assert!(!withheld.contains(name), "{name}");
        }
    }

    #[test]
    fn url_variable_of_a_settings_file_is_withheld_once_the_file_was_read() {
        let folder = tempfile::tempdir().unwrap();
        for (variable, is_of_build) in [("WITHHELD_URL", false), ("ANOTHER_URL", true)] {
            let text = format!(
                "[stages.staging]\nurl = {{ variable = \"DATABASE_URL\" }}\n\
                 [stages.production]\nurl = {{ variable = \"{variable}\" }}\n"
            );
            std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
            assert!(!withheld().contains(variable));
            match is_of_build {
                true => add_url_variables_of(folder.path()),
                false => drop(project::settings_file(folder.path()).unwrap()),
            }
            assert!(withheld().contains(variable), "{variable}");
        }
        assert!(!withheld().contains("DATABASE_URL"));
    }
}
