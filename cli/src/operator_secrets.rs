//! The tokens and database URLs of an operator, which no program of a project gets as it is built: a build
//! script is code of any dependency.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};
use stagelink_pipeline::{SettingsFile, StageProvider, is_provider_token};

/// Removes the tokens from what a program inherits, and the database URLs that a settings file names.
/// `DATABASE_URL` stays, since macros of sqlx connect with it, and so do the credentials of AWS and of registries.
pub(crate) fn withhold(command: &mut Command) {
    for name in withheld(std::env::vars_os()) {
        command.env_remove(name);
    }
}

/// Returns the names of the variables that no program of a project gets: of the known ones, and of those in an
/// environment that hold a token by their name or their value. A value counts that has the form of a token, and one
/// that is or holds what another of these variables has, or what this process has got from a login or by
/// `--token-for`: a copy under another name is the same secret.
pub(crate) fn withheld(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeSet<OsString> {
    let known = known();
    let urls = known.urls.iter().map(String::as_str);
    let mut names: BTreeSet<OsString> = SECRETS.into_iter().chain(urls).map(Into::into).collect();
    let environment: Vec<_> = environment.into_iter().collect();
    let tokens = environment.iter().filter(|(name, value)| {
        is_provider_token(&value.to_string_lossy()) || known.is_named_as_token(name)
    });
    names.extend(tokens.map(|(name, _)| name.clone()));
    let of_variables = environment.iter().filter(|(name, _)| names.contains(name));
    let of_variables =
        of_variables.map(|(_, value)| value.to_string_lossy().trim().to_owned().into());
    let secrets: Vec<SecretString> = of_variables.chain(known.secrets.iter().cloned()).collect();
    let copies = environment.iter().filter(|(name, value)| {
        name != "DATABASE_URL"
            && secrets
                .iter()
                .any(|secret| is_copy(&value.to_string_lossy(), secret))
    });
    let copies: Vec<_> = copies.map(|(name, _)| name.clone()).collect();
    names.extend(copies);
    names
}

/// Has each variable withheld from now on that holds this secret, which this process has got for itself.
pub(crate) fn add_secret(secret: &SecretString) {
    known().secrets.push(secret.clone());
}

/// Returns whether a value is a secret, or holds it. One that is short, such as the password of a local Postgres,
/// may be a word by chance.
fn is_copy(value: &str, secret: &SecretString) -> bool {
    let secret = secret.expose_secret();
    match secret.len() {
        0..SHORTEST => false,
        SHORTEST..SHORTEST_PART => value.trim() == secret,
        _ => value.contains(secret),
    }
}

/// The fewest bytes of a secret of which a copy is known.
const SHORTEST: usize = 12;

/// The fewest bytes of a secret that is known within a longer value.
const SHORTEST_PART: usize = 20;

/// Has the variables that a settings file names as the database URLs of its stages withheld from now on, and
/// those that are named as tokens of its stages. The commit that a promotion builds has a file of its own, which
/// cannot take one back.
pub(crate) fn add_url_variables(file: &SettingsFile) {
    let mut known = known();
    for (stage, settings) in file.stages() {
        known.stages.insert(in_capitals(stage.name()));
        if let Some(StageProvider::Url { variable }) = settings.provider()
            && variable != "DATABASE_URL"
        {
            known.urls.insert(variable.clone());
        }
    }
}

/// Does so for the file of a project. A build goes on where it cannot be read, and says so elsewhere.
pub(crate) fn add_url_variables_of(project: &Path) {
    if let Ok(Some(file)) = SettingsFile::load(project) {
        add_url_variables(&file);
    }
}

/// The names in the settings files of this process, and the secrets that it has got.
struct Known {
    /// The variables with the database URLs of their stages.
    urls: BTreeSet<String>,
    /// The names of their stages in capitals, as variables have them.
    stages: BTreeSet<String>,
    /// Tokens of logins, and those that `--token-for` names.
    secrets: Vec<SecretString>,
}

impl Known {
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

fn known() -> MutexGuard<'static, Known> {
    static KNOWN: Mutex<Known> = Mutex::new(Known {
        urls: BTreeSet::new(),
        stages: BTreeSet::new(),
        secrets: Vec::new(),
    });
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn copy_of_a_secret_under_another_name_is_withheld() {
        let of = |variables: &[(&str, &str)]| {
            let environment = variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()));
            super::withheld(environment)
        };
        let token = "01234567-89ab-cdef-0123-456789abcdef";
        let held = format!("Bearer {token}");
        let names = of(&[
            ("HEROKU_API_KEY", token),
            ("PGPASSWORD", "postgres"),
            ("MY_OWN", token),
            ("MY_HEADER", &held),
            ("MY_USER", "postgres"),
            ("DATABASE_URL", &held),
            ("PATH", "/usr/bin"),
        ]);
        for (name, is_withheld) in [
            ("MY_OWN", true),
            ("MY_HEADER", true),
            ("MY_USER", false),
            ("DATABASE_URL", false),
            ("PATH", false),
        ] {
            assert_eq!(names.contains(OsStr::new(name)), is_withheld, "{name}");
        }
        // What a login gave is known by its value alone.
        let login = "c4n4ry-of-a-login-0123456789";
        let is_known = || of(&[("NEUTRAL", login)]).contains(OsStr::new("NEUTRAL"));
        assert!(!is_known());
        add_secret(&login.into());
        assert!(is_known());
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
