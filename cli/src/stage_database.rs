//! The database of a stage, as the commands of one stage find it.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use secrecy::ExposeSecret as _;
use stagelink::{Database, ErrorKind, Settings, Stage};
use stagelink_pipeline::{SettingsFile, StageProvider};

use crate::args::LocalOptions;
use crate::environment;
use crate::local_clouds;
use crate::local_stages;
use crate::login;
use crate::output::note;
use crate::project;
use crate::usage_error::of_usage;

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
    let found = variables_of(ignored, stage, local).await?;
    let settings = Settings::from_vars(found.variables.clone());
    if let Err(error) = &settings {
        ensure_heroku_token(&found.variables)?;
        ensure_source(error, stage, &found.variables, local)?;
    }
    Ok(match found.url_variable {
        Some(name) => settings.map(|settings| settings.with_url_variable(name)),
        None => settings,
    })
}

/// The variables by which a stage's database is found.
struct StageVariables {
    variables: BTreeMap<String, String>,
    /// The operator's variable that holds the database URL, where `stagelink.toml` names one.
    url_variable: Option<String>,
}

async fn variables_of(
    ignored: &[&str],
    stage: Option<&str>,
    local: &LocalOptions,
) -> anyhow::Result<StageVariables> {
    let file = project::settings_file(&local.project)?;
    let own: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    environment::ensure_known_names(&own)?;
    let named = match stage {
        Some(stage) => Some(local_stages::parse(stage, file.as_ref(), local)?),
        None => None,
    };
    let mut variables: BTreeMap<String, String> = own
        .into_iter()
        .filter(|(name, value)| !ignored.contains(&name.as_str()) && !value.trim().is_empty())
        .collect();
    if local.local.is_some() {
        // The environment's stage is that of a deploy or of a shell that works on one.
        return Ok(StageVariables {
            variables: local_clouds::variables(local, named)?.unwrap_or_default(),
            url_variable: None,
        });
    }
    if let Some(stage) = named {
        variables.insert("STAGELINK_STAGE".to_owned(), stage.to_string());
    }
    let stage = variables.get("STAGELINK_STAGE");
    let stage = stage
        .map(|name| name.trim().parse::<Stage>())
        .transpose()
        .context("could not use STAGELINK_STAGE")
        .map_err(of_usage)?;
    let mut url_variable = None;
    // A function reports that no stage is named.
    if let (Some(stage), Some(file)) = (stage, file) {
        url_variable = add_settings(&mut variables, &file, stage).map_err(|error| {
            of_usage(match has_source(&variables) {
                true => error,
                false => hinted(error, local),
            })
        })?;
    }
    add_heroku_token(&mut variables).await;
    Ok(StageVariables {
        variables,
        url_variable,
    })
}

/// Adds the variables that a stage has by `stagelink.toml`.
///
/// `STAGELINK_PROVIDER` in the environment, with the variables of that provider, takes the place of
/// the file's source. Without it nothing of the environment does: a variable that is left over from
/// another stage would lead there. `DATABASE_URL` is often that of a developer's own machine, so it
/// is ignored then, and so are credentials from deploy time, which a rotation has made stale.
///
/// Returns the operator's variable that holds the database URL, where the file names one.
///
/// # Errors
///
/// The file has no such stage, or says otherwise than the environment.
fn add_settings(
    variables: &mut BTreeMap<String, String>,
    file: &SettingsFile,
    stage: Stage,
) -> anyhow::Result<Option<String>> {
    let chosen = variables.get("STAGELINK_PROVIDER").map(|name| name.trim());
    let chosen = chosen.map(str::to_ascii_lowercase);
    let location = |provider: &str| LOCATIONS.iter().find(|(name, _)| *name == provider);
    if let Some((name, location)) = chosen.as_deref().and_then(location)
        && location.iter().any(|name| variables.contains_key(*name))
    {
        note(format_args!(
            "  ! STAGELINK_PROVIDER={name} of the environment takes the place of {}",
            file.path().display()
        ));
        return Ok(None);
    }
    let settings = file.stage(stage).map_err(of_usage)?;
    let Some(provider) = settings.provider() else {
        // The environment may say it, but a developer's own database is not the stage's.
        let mut located = LOCATIONS.iter().flat_map(|(_, names)| *names);
        let is_located =
            located.any(|name| *name != "DATABASE_URL" && variables.contains_key(*name));
        if !is_located && chosen.is_none() {
            bail!(
                "{} names no source for the database of stage {stage}: set heroku.pipeline, or add \
                 neon, render or url to [stages.{}]",
                file.path().display(),
                stage.name()
            );
        }
        return Ok(None);
    };
    if let Some(chosen) = chosen.filter(|chosen| chosen != provider.name()) {
        bail!(
            "STAGELINK_PROVIDER is {chosen}, and {} has the database of stage {stage} at {}: unset \
             it, or set the variables of {chosen} too",
            file.path().display(),
            provider.name()
        );
    }
    let environment = |name: &str| variables.get(name).cloned();
    let of_file: BTreeMap<_, _> = settings.variables(environment)?.into_iter().collect();
    let located = LOCATIONS.iter().flat_map(|(_, names)| *names);
    let other = located
        .filter(|name| **name != "DATABASE_URL")
        .find(|name| {
            let own = variables.get(**name).map(|value| value.trim());
            let app = **name == "STAGELINK_HEROKU_APP" && provider.name() == "heroku";
            match of_file.get(**name) {
                Some(value) => own.is_some_and(|own| own != value),
                // An app may be one of several of the file's pipeline, which holds it to the stage.
                None => own.is_some() && !app,
            }
        });
    if let Some(name) = other {
        bail!(
            "{name} of the environment says otherwise than {} on the database of stage {stage}: \
             unset it, or let the environment say all of it with STAGELINK_PROVIDER",
            file.path().display()
        );
    }
    if !variables.contains_key("STAGELINK_HEROKU_APP") {
        file.ensure_app(stage)?;
    }
    variables.remove("STAGELINK_CREDENTIALS");
    for (name, value) in of_file {
        variables.insert(name.to_owned(), value);
    }
    Ok(match provider {
        StageProvider::Url { variable } => Some(variable.clone()),
        _ => None,
    })
}

/// The variables of each provider that say where a database is.
const LOCATIONS: [(&str, &[&str]); 4] = [
    (
        "heroku",
        &["STAGELINK_HEROKU_PIPELINE", "STAGELINK_HEROKU_APP"],
    ),
    (
        "neon",
        &[
            "STAGELINK_NEON_PROJECT",
            "STAGELINK_NEON_BRANCH",
            "STAGELINK_NEON_DATABASE",
            "STAGELINK_NEON_ROLE",
        ],
    ),
    ("render", &["STAGELINK_RENDER_POSTGRES"]),
    ("url", &["DATABASE_URL"]),
];

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

/// Makes sure that settings which cannot be used do not lack the token of Heroku alone: a person can
/// log in for it, which a function's error does not say.
fn ensure_heroku_token(variables: &BTreeMap<String, String>) -> anyhow::Result<()> {
    if variables.contains_key("HEROKU_API_KEY") {
        return Ok(());
    }
    let mut with_token = variables.clone();
    with_token.insert("HEROKU_API_KEY".to_owned(), "token".to_owned());
    let Ok(settings) = Settings::from_vars(with_token) else {
        return Ok(());
    };
    let set = |name: &str| variables.get(name).map(|value| value.trim());
    let place = match (
        set("STAGELINK_HEROKU_PIPELINE"),
        set("STAGELINK_HEROKU_APP"),
    ) {
        (Some(pipeline), _) => format!("the Heroku pipeline {pipeline}"),
        (None, Some(app)) => format!("the Heroku app {app}"),
        (None, None) => "Heroku".to_owned(),
    };
    Err(anyhow!(
        "HEROKU_API_KEY is not set, and the Heroku command line has no login for this API: run \
         `heroku login`, or set it to a token that reads the config vars of the stage's app (`heroku \
         authorizations:create --scope read-protected`)"
    )
    .context(format!(
        "could not look up the database of stage {} in {place}",
        settings.stage
    )))
}

/// Makes sure that settings which cannot be used do not lack a source alone, while a `stagelink dev`
/// runs in the project: its databases may be meant, which a function's error does not say.
fn ensure_source(
    error: &stagelink::Error,
    stage: Option<&str>,
    variables: &BTreeMap<String, String>,
    local: &LocalOptions,
) -> anyhow::Result<()> {
    let hint = local_clouds::hint(local);
    if has_source(variables) || hint.is_empty() {
        return Ok(());
    }
    let is_unnamed = error.kind() == ErrorKind::Stage && stage.is_none();
    let what = match error.kind() {
        _ if is_unnamed => "could not find the stage: name it with --stage",
        ErrorKind::Settings => {
            "could not find the database of the stage: say in stagelink.toml where it is"
        }
        _ => return Ok(()),
    };
    let error = anyhow!(error.report().to_string()).context(format!("{what}{hint}"));
    Err(match is_unnamed {
        true => of_usage(error),
        false => error,
    })
}

/// Adds the advice to use `--local`, where a `stagelink dev` runs in the project.
fn hinted(error: anyhow::Error, local: &LocalOptions) -> anyhow::Error {
    match local_clouds::hint(local) {
        "" => error,
        hint => anyhow!("{error:#}{hint}"),
    }
}

/// Returns whether variables say where a database is.
fn has_source(variables: &BTreeMap<String, String>) -> bool {
    let mut located = LOCATIONS.iter().flat_map(|(_, names)| *names);
    located.any(|name| variables.contains_key(*name))
        || variables.contains_key("STAGELINK_CREDENTIALS")
}

/// Adds the advice of the command's own option to an error that a function would have, too.
pub(crate) fn advised<T>(
    found: Result<T, stagelink::Error>,
    stage: Option<&str>,
) -> anyhow::Result<T> {
    found.map_err(|error| match (error.kind(), stage) {
        (ErrorKind::Stage, None) => {
            let error = anyhow::Error::new(error);
            of_usage(error.context("could not find the stage: name it with --stage"))
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
        merged_with_url(environment, text).map(|(variables, _)| variables)
    }

    fn merged_with_url(
        environment: &[(&str, &str)],
        text: &str,
    ) -> anyhow::Result<(BTreeMap<String, String>, Option<String>)> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        let file = SettingsFile::load(folder.path())?.unwrap();
        let mut variables = environment
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let url_variable = add_settings(&mut variables, &file, Stage::STAGING)?;
        Ok((variables, url_variable))
    }

    const HEROKU: &str = "heroku.pipeline = \"a\"\nstages.staging = { app = \"b\" }";

    #[test]
    fn file_gives_what_the_environment_leaves_open() {
        let token = ("HEROKU_API_KEY", "t");
        let found = merged(&[token], HEROKU).unwrap();
        assert_eq!(found["STAGELINK_PROVIDER"], "heroku");
        assert_eq!(found["STAGELINK_HEROKU_PIPELINE"], "a");
        assert_eq!(found["STAGELINK_HEROKU_APP"], "b");
        assert_eq!(found["HEROKU_API_KEY"], "t");
        let app = ("STAGELINK_HEROKU_APP", "c");
        let found = merged(&[app], "heroku.pipeline = \"a\"\n[stages.staging]").unwrap();
        assert_eq!(found["STAGELINK_HEROKU_APP"], "c");
    }

    #[test]
    fn variable_that_is_left_over_never_leads_to_another_stages_database() {
        let neon = "stages.staging.neon = { project = \"p\", branch = \"b\", database = \"d\", \
                    role = \"r\" }";
        for (left_over, text) in [
            (("STAGELINK_NEON_BRANCH", "production"), neon),
            (("STAGELINK_NEON_BRANCH", "production"), HEROKU),
            (("STAGELINK_HEROKU_APP", "production"), HEROKU),
            (("STAGELINK_HEROKU_PIPELINE", "other"), HEROKU),
            (("STAGELINK_HEROKU_APP", "production"), neon),
            (("STAGELINK_RENDER_POSTGRES", "dpg-1"), HEROKU),
        ] {
            let error = merged(&[left_over], text).unwrap_err().to_string();
            let expected = format!("{} of the environment says otherwise", left_over.0);
            assert!(error.contains(&expected), "{error}");
        }
        // What says the same is no contradiction.
        assert!(merged(&[("STAGELINK_HEROKU_APP", "b")], HEROKU).is_ok());
        let stale = ("STAGELINK_CREDENTIALS", "staging=postgres://old");
        assert!(!merged(&[stale], HEROKU).unwrap().contains_key(stale.0));
    }

    #[test]
    fn provider_with_its_variables_takes_the_place_of_the_file() {
        let set = [
            ("STAGELINK_PROVIDER", "url"),
            ("DATABASE_URL", "postgres://own"),
        ];
        for text in [HEROKU, "heroku.pipeline = \"a\""] {
            let found = merged(&set, text).unwrap();
            assert_eq!(found["DATABASE_URL"], "postgres://own");
            assert!(
                !found.contains_key("STAGELINK_HEROKU_PIPELINE"),
                "{found:?}"
            );
        }
        let alone = merged(&[("STAGELINK_PROVIDER", "heroku")], HEROKU).unwrap();
        assert_eq!(alone["STAGELINK_HEROKU_PIPELINE"], "a");
        let other = merged(&[("STAGELINK_PROVIDER", "neon")], HEROKU).unwrap_err();
        assert!(
            other.to_string().contains("STAGELINK_PROVIDER is neon"),
            "{other}"
        );
        let missing = merged(&[], "heroku.pipeline = \"a\"")
            .unwrap_err()
            .to_string();
        assert!(missing.contains("[stages.staging]"), "{missing}");
    }

    #[test]
    fn stage_without_a_source_never_gets_a_developers_database() {
        let own = ("DATABASE_URL", "postgres://own");
        let error = merged(&[own], "[stages.staging]").unwrap_err().to_string();
        assert!(
            error.contains("names no source for the database of stage staging"),
            "{error}"
        );
        let pipeline = ("STAGELINK_HEROKU_PIPELINE", "a");
        assert!(merged(&[pipeline], "[stages.staging]").is_ok());
        let chosen = ("STAGELINK_PROVIDER", "url");
        assert!(merged(&[own, chosen], "[stages.staging]").is_ok());
    }

    #[test]
    fn missing_heroku_token_names_the_stage_and_the_login_and_no_other_error_does() {
        let missing = |set: &[(&str, &str)]| {
            let variables = set
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()));
            ensure_heroku_token(&variables.collect()).map_err(|error| format!("{error:#}"))
        };
        let stage = ("STAGELINK_STAGE", "staging");
        let pipeline = ("STAGELINK_HEROKU_PIPELINE", "shop");
        let error = missing(&[stage, pipeline]).unwrap_err();
        for part in [
            "database of stage staging in the Heroku pipeline shop",
            "HEROKU_API_KEY is not set",
            "`heroku login`",
        ] {
            assert!(error.contains(part), "{error}");
        }
        let app = ("STAGELINK_HEROKU_APP", "shop-staging");
        let error = missing(&[stage, app]).unwrap_err();
        assert!(error.contains("the Heroku app shop-staging"), "{error}");
        // These lack something else.
        assert!(missing(&[pipeline]).is_ok());
        assert!(missing(&[stage, pipeline, ("STAGELINK_POOL_SIZE", "x")]).is_ok());
    }

    #[test]
    fn url_of_a_developers_machine_does_not_override_the_file() {
        let own = ("DATABASE_URL", "postgres://own");
        let text = "stages.staging.url.variable = \"STAGING_URL\"";
        let set = [own, ("STAGING_URL", "postgres://staging")];
        let (variables, url_variable) = merged_with_url(&set, text).unwrap();
        assert_eq!(variables["DATABASE_URL"], "postgres://staging");
        assert_eq!(url_variable.as_deref(), Some("STAGING_URL"));
        assert_eq!(
            merged(&[own], HEROKU).unwrap()["STAGELINK_PROVIDER"],
            "heroku"
        );
    }
}
