//! The tokens and database URLs of an operator, which no program of a project gets as it is built: a build
//! script is code of any dependency.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stagelink_pipeline::{SettingsFile, StageProvider, is_provider_token};

/// Removes the tokens from what a program inherits, and the database URLs that a settings file names.
/// `DATABASE_URL` stays, since macros of sqlx connect with it, and so do the credentials of AWS and of registries.
pub(crate) fn withhold(command: &mut Command) {
    for name in withheld(std::env::vars_os()) {
        command.env_remove(name);
    }
}

/// Returns the names of the variables that no program of a project gets: of the known ones, and of those in an
/// environment that hold a token by their name or their value, as those do that `--token-for` names.
pub(crate) fn withheld(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeSet<OsString> {
    let of_files = of_files();
    let urls = of_files.urls.iter().map(String::as_str);
    let mut names: BTreeSet<OsString> = SECRETS.into_iter().chain(urls).map(Into::into).collect();
    let tokens = environment.into_iter().filter(|(name, value)| {
        let value = value.to_string_lossy();
        is_provider_token(&value) || of_files.is_named_as_token(name)
    });
    names.extend(tokens.map(|(name, _)| name));
    names
}

/// Has the variables that a settings file names as the database URLs of its stages withheld from now on, and
/// those that are named as tokens of its stages. The commit that a promotion builds has a file of its own, which
/// cannot take one back.
pub(crate) fn add_url_variables(file: &SettingsFile) {
    let mut of_files = of_files();
    for (stage, settings) in file.stages() {
        of_files.stages.insert(in_capitals(stage.name()));
        if let Some(StageProvider::Url { variable }) = settings.provider()
            && variable != "DATABASE_URL"
        {
            of_files.urls.insert(variable.clone());
        }
    }
}

/// Does so for the file of a project. A build goes on where it cannot be read, and says so elsewhere.
pub(crate) fn add_url_variables_of(project: &Path) {
    if let Ok(Some(file)) = SettingsFile::load(project) {
        add_url_variables(&file);
    }
}

/// The names in the settings files of this process.
struct OfFiles {
    /// The variables with the database URLs of their stages.
    urls: BTreeSet<String>,
    /// The names of their stages in capitals, as variables have them.
    stages: BTreeSet<String>,
}

impl OfFiles {
    /// Returns whether a variable is called as a token or a secret of a stage is: `STAGING_HEROKU_API_KEY`,
    /// `PRODUCTION_TOKEN`, `STAGELINK_CREDENTIALS_QA`.
    fn is_named_as_token(&self, name: &OsStr) -> bool {
        let name = name.to_string_lossy();
        let is_known = SECRETS.iter().any(|known| {
            let rest = name
                .strip_suffix(known)
                .or_else(|| name.strip_prefix(known));
            rest.is_some_and(|rest| rest.starts_with('_') || rest.ends_with('_'))
        });
        let is_secret = ["TOKEN", "API_KEY", "SECRET", "PASSWORD"]
            .iter()
            .any(|part| name.contains(part));
        let stages = self.stages.iter().map(String::as_str);
        let mut stages = stages.chain(KINDS);
        let is_of_stage = stages.any(|stage| {
            let rest = name
                .strip_prefix(stage)
                .or_else(|| name.strip_suffix(stage));
            rest.is_some_and(|rest| rest.starts_with('_') || rest.ends_with('_'))
        });
        is_known || (is_secret && is_of_stage)
    }
}

fn of_files() -> MutexGuard<'static, OfFiles> {
    static OF_FILES: Mutex<OfFiles> = Mutex::new(OfFiles {
        urls: BTreeSet::new(),
        stages: BTreeSet::new(),
    });
    OF_FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_capitals(stage: &str) -> String {
    stage.to_uppercase().replace('-', "_")
}

/// The stages that each project may have.
const KINDS: [&str; 4] = ["REVIEW", "DEVELOPMENT", "STAGING", "PRODUCTION"];

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
    fn variables_that_hold_tokens_by_value_or_name_are_withheld() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[stages.staging]\n[stages.eu-west]\nkind = \"production\"\n";
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        add_url_variables_of(folder.path());
        let heroku = "HRKU-AAc4n4ryc4n4ryc4n4ry";
        for (name, value, is_withheld) in [
            ("MY_OWN", heroku, true),
            ("MY_OWN", "nfp_c4n4ryc4n4ryc4n4ry", true),
            (
                "PRODUCTION_TOKEN",
                "01234567-89ab-cdef-0123-456789abcdef",
                true,
            ),
            ("STAGING_HEROKU_API_KEY", "x", true),
            ("EU_WEST_TOKEN", "x", true),
            ("API_KEY_STAGING", "x", true),
            ("STAGELINK_CREDENTIALS_STAGING", "x", true),
            ("GH_PRODUCTION_URL", "x", false),
            ("STAGING_HOST", "x", false),
            ("CARGO_REGISTRY_TOKEN", "x", false),
            ("AWS_SECRET_ACCESS_KEY", "x", false),
            ("HTTPS_PROXY", "http://user:password@proxy.example", false),
            ("DATABASE_URL", "postgres://u:p@h/d", false),
        ] {
            let names = super::withheld([(name.into(), value.into())]);
            assert_eq!(
                names.contains(OsStr::new(name)),
                is_withheld,
                "{name}={value}"
            );
        }
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
