//! The database of a stage, as the commands of one stage find it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use stagelink::{Database, ErrorKind, Settings, Stage};
use stagelink_pipeline::SettingsFile;

use crate::args::LocalOptions;
use crate::environment;
use crate::local_clouds;
use crate::login;

/// Returns the database that a function of the stage would have with this process's environment,
/// without the variables `ignored`. `stagelink.toml` gives what the environment leaves open, and the
/// login of the Heroku command line the token. With `--local` it is the database of the local clouds.
///
/// # Errors
///
/// An unknown stage, a misspelled variable of safety, a file that cannot be used, and the errors of
/// `--local`.
pub(crate) async fn database_of(
    ignored: &[&str],
    stage: Option<&str>,
    local: &LocalOptions,
) -> anyhow::Result<Database> {
    let settings = settings_of(ignored, stage, local).await?;
    Ok(Database::new(settings.map(Settings::with_app_names)))
}

/// Returns the settings by which [`database_of`] finds the database.
///
/// # Errors
///
/// As [`database_of`].
pub(crate) async fn settings_of(
    ignored: &[&str],
    stage: Option<&str>,
    local: &LocalOptions,
) -> anyhow::Result<Result<Settings, stagelink::Error>> {
    let variables = variables_of(ignored, stage, local).await?;
    Ok(Settings::from_vars(variables))
}

async fn variables_of(
    ignored: &[&str],
    stage: Option<&str>,
    local: &LocalOptions,
) -> anyhow::Result<BTreeMap<String, String>> {
    let named: Option<Stage> = stage
        .map(str::parse)
        .transpose()
        .context("could not use the stage of --stage")?;
    let own: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    environment::ensure_known_names(&own)?;
    let mut variables: BTreeMap<String, String> = own
        .into_iter()
        .filter(|(name, value)| !ignored.contains(&name.as_str()) && !value.trim().is_empty())
        .collect();
    if let Some(stage) = named {
        variables.insert("STAGELINK_STAGE".to_owned(), stage.to_string());
    }
    let stage = variables.get("STAGELINK_STAGE");
    let stage = stage.map(|name| name.trim().parse::<Stage>()).transpose()?;
    if local.local.is_some() {
        return Ok(local_clouds::variables(local, stage)?.unwrap_or_default());
    }
    // A function reports that no stage is named.
    if let (Some(stage), Some(file)) = (stage, SettingsFile::load(&local.project)?) {
        add_settings(&mut variables, &file, stage)?;
    }
    add_heroku_token(&mut variables).await;
    Ok(variables)
}

/// Adds the variables that a stage has by `stagelink.toml`, where the environment has none.
///
/// `STAGELINK_PROVIDER` in the environment takes the place of the file's source as a whole. A
/// `DATABASE_URL` is often that of a developer's own machine, so it does not override the file's by
/// itself.
fn add_settings(
    variables: &mut BTreeMap<String, String>,
    file: &SettingsFile,
    stage: Stage,
) -> anyhow::Result<()> {
    if variables.contains_key("STAGELINK_PROVIDER") {
        return Ok(());
    }
    let stage = file.stage(stage)?;
    let environment = |name: &str| variables.get(name).cloned();
    for (name, value) in stage.variables(environment)? {
        if name == "DATABASE_URL" {
            variables.insert(name.to_owned(), value);
        } else {
            variables.entry(name.to_owned()).or_insert(value);
        }
    }
    Ok(())
}

/// Adds the token of the Heroku command line, where the stage's app is on Heroku and the environment
/// has no token.
async fn add_heroku_token(variables: &mut BTreeMap<String, String>) {
    let set = |name: &str| variables.get(name).map(String::as_str);
    let is_heroku = match set("STAGELINK_PROVIDER") {
        Some(provider) => provider.trim() == "heroku",
        None => ["STAGELINK_HEROKU_PIPELINE", "STAGELINK_HEROKU_APP"]
            .iter()
            .any(|name| set(name).is_some()),
    };
    if !is_heroku || set("HEROKU_API_KEY").is_some() {
        return;
    }
    if let Some(token) = login::heroku::token(set("STAGELINK_HEROKU_API_URL")).await {
        let token = token.expose_secret().to_owned();
        variables.insert("HEROKU_API_KEY".to_owned(), token);
    }
}

/// Adds the advice of the command's own option to an error that a function would have, too.
pub(crate) fn advised<T>(
    found: Result<T, stagelink::Error>,
    stage: Option<&str>,
) -> anyhow::Result<T> {
    found.map_err(|error| match (error.kind(), stage) {
        (ErrorKind::Stage, None) => {
            anyhow::Error::new(error).context("could not find the stage: name it with --stage")
        }
        _ => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(
        environment: &[(&str, &str)],
        text: &str,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        let file = SettingsFile::load(folder.path())?.unwrap();
        let mut variables = environment
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        add_settings(&mut variables, &file, Stage::Staging)?;
        Ok(variables)
    }

    #[test]
    fn environment_overrides_the_file_one_by_one() {
        let text = "heroku.pipeline = \"a\"\nstages.staging = { app = \"b\" }";
        let found = merged(&[("STAGELINK_HEROKU_APP", "c")], text).unwrap();
        assert_eq!(found["STAGELINK_HEROKU_APP"], "c");
        assert_eq!(found["STAGELINK_HEROKU_PIPELINE"], "a");
        assert_eq!(found["STAGELINK_PROVIDER"], "heroku");
    }

    #[test]
    fn provider_of_the_environment_takes_the_place_of_the_file() {
        let text = "heroku.pipeline = \"a\"";
        let set = [
            ("STAGELINK_PROVIDER", "url"),
            ("DATABASE_URL", "postgres://own"),
        ];
        let found = merged(&set, text).unwrap();
        assert!(
            !found.contains_key("STAGELINK_HEROKU_PIPELINE"),
            "{found:?}"
        );
        let missing = merged(&[], text).unwrap_err().to_string();
        assert!(missing.contains("[stages.staging]"), "{missing}");
    }

    #[test]
    fn url_of_a_developers_machine_does_not_override_the_file() {
        let own = ("DATABASE_URL", "postgres://own");
        let text = "stages.staging.url.variable = \"STAGING_URL\"";
        let set = [own, ("STAGING_URL", "postgres://staging")];
        assert_eq!(
            merged(&set, text).unwrap()["DATABASE_URL"],
            "postgres://staging"
        );
        let text = "heroku.pipeline = \"a\"\n[stages.staging]";
        assert_eq!(
            merged(&[own], text).unwrap()["STAGELINK_PROVIDER"],
            "heroku"
        );
    }
}
