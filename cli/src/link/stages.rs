//! The database of each stage, found and tried as the stage's functions will.

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret, SecretString};
use stagelink::{
    Database, DatabaseInfo, Heroku, Provider as _, ProviderSettings, Settings, Stage, StageMark,
};

use super::environment::Environment;

/// A stage's database, as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its credentials, as the value of `STAGELINK_CREDENTIALS`.
    pub(crate) sealed: SecretString,
    /// Where the URL was found.
    pub(crate) origin: String,
    /// What the database and its server say of themselves.
    pub(crate) examination: DatabaseInfo,
    /// What its functions are given to prove it, beside the URL.
    pub(crate) proof: Vec<(&'static str, String)>,
}

impl Found {
    /// Whether the database says that it is this stage's.
    pub(crate) fn is_marked(&self) -> bool {
        self.examination.mark == StageMark::Of(self.examination.stage)
    }

    /// What of it nobody but the stage may have: the URL, its password, and what SCRAM makes
    /// of that.
    pub(crate) fn secrets(&self) -> Vec<SecretString> {
        let sealed = self.sealed.expose_secret();
        let url = sealed.split_once('=').map_or(sealed, |(_, url)| url);
        let (url, keys) = match url.split_once('#') {
            Some((url, keys)) => (url, Some(keys)),
            None => (url, None),
        };
        let password = url
            .split_once("://")
            .and_then(|(_, rest)| rest.rsplit_once('@'))
            .and_then(|(user, _)| user.split_once(':'))
            .map(|(_, password)| password)
            // A short one is found by chance.
            .filter(|password| password.len() >= 8);
        [Some(url), password, keys]
            .into_iter()
            .flatten()
            .map(Into::into)
            .collect()
    }
}

/// The settings by which Heroku tells a stage's database to who has this token.
pub(crate) fn settings(
    environment: &Environment,
    stage: Stage,
    pipeline: &str,
    app: Option<&str>,
    token: &SecretString,
) -> anyhow::Result<Settings> {
    let own = [
        ("STAGELINK_STAGE", stage.as_str()),
        ("STAGELINK_PROVIDER", "heroku"),
        ("STAGELINK_HEROKU_PIPELINE", pipeline),
        ("STAGELINK_HEROKU_APP", app.unwrap_or_default()),
        ("HEROKU_API_KEY", token.expose_secret()),
    ];
    Ok(Settings::from_vars(
        own.into_iter().chain(environment.shared()),
    )?)
}

/// Asks Heroku for a stage's database and tries it, with the very variables that functions
/// get: what does not work from here is told here.
///
/// # Errors
///
/// When it cannot be found or reached, proves nothing, or is marked as another stage's.
pub(crate) async fn find(
    environment: &Environment,
    stage: Stage,
    pipeline: &str,
    app: Option<&str>,
    token: &SecretString,
    wants_pin: bool,
) -> anyhow::Result<Found> {
    let asking = || settings(environment, stage, pipeline, app, token);
    let Some(ProviderSettings::Heroku(heroku)) = asking()?.provider else {
        bail!("stage {stage} is not asked for at Heroku");
    };
    let credentials = Heroku::new(heroku)?.resolve(stage).await?;
    let seen = Database::new(Ok(asking()?)).inspect().await?;
    is_own(&seen)?;
    let mut proof = Vec::new();
    if seen.mark == StageMark::Of(stage) {
        proof.push(("STAGELINK_REQUIRE_MARK", "true".to_owned()));
    }
    // A pooler proves itself by the key that the database behind it has shown: sealed is the
    // pooler's URL alone.
    if let Some(pin) = seen
        .pin
        .filter(|_| wants_pin || credentials.direct().is_some())
    {
        proof.push(("STAGELINK_SERVER_PIN", pin.to_string()));
    }
    if seen.direct_tls {
        proof.push(("STAGELINK_DIRECT_TLS", "true".to_owned()));
    }
    let sealed = seen.credentials.to_variable(stage);
    let of_function = [
        ("STAGELINK_STAGE", stage.as_str()),
        ("STAGELINK_CREDENTIALS", sealed.expose_secret()),
    ];
    let of_function = of_function
        .into_iter()
        .chain(proof.iter().map(|(name, value)| (*name, value.as_str())))
        .chain(environment.shared());
    let examination = Database::new(Settings::from_vars(of_function))
        .inspect()
        .await
        .with_context(|| format!("functions of stage {stage} could not use their database"))?;
    Ok(Found {
        sealed,
        origin: credentials.origin().to_owned(),
        examination,
        proof,
    })
}

/// Makes sure that a stage's credentials do not lead to another stage's database.
///
/// # Errors
///
/// When the database is marked as another's.
pub(crate) fn is_own(seen: &DatabaseInfo) -> anyhow::Result<()> {
    let stage = seen.stage;
    if seen.is_of_another_stage() {
        bail!(
            "the database of stage {stage} ({} of {}) is marked as stage {}'s: correct the URL \
             where it stands, or the mark with `stagelink mark set --stage {stage} --replace`",
            seen.database,
            seen.origin,
            seen.mark
        );
    }
    Ok(())
}

/// Makes sure that no two stages have one database.
///
/// # Errors
///
/// When two have.
pub(crate) fn are_apart(found: &[Found]) -> anyhow::Result<()> {
    for (number, one) in found.iter().enumerate() {
        for other in &found[..number] {
            let (one, other) = (&one.examination, &other.examination);
            if (&one.server, &one.database) == (&other.server, &other.database) {
                bail!(
                    "stages {} and {} have one database, {} on {}: give each stage its own \
                     (`heroku addons:create heroku-postgresql`)",
                    other.stage,
                    one.stage,
                    one.database,
                    one.server
                );
            }
        }
    }
    Ok(())
}
