//! Which provider knows the stage's database, and what it takes to ask it.

use secrecy::SecretString;
use serde::Deserialize;

use crate::error::{Error, ErrorKind};

/// Where a stage's database URL comes from.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProviderSettings {
    /// A Heroku app's config vars, read over the Platform API.
    Heroku(HerokuSettings),
    /// A URL that stands in the environment.
    Url(SecretString),
}

/// What it takes to ask Heroku.
#[derive(Debug)]
#[non_exhaustive]
pub struct HerokuSettings {
    /// Which app owns the stage's database.
    pub app: HerokuApp,
    /// The token: it needs the scope `read-protected`, no more.
    pub token: SecretString,
    /// The base URL of the Platform API.
    pub api_url: String,
    /// The config var that holds the database URL.
    pub config_var: String,
}

/// How the app that owns a stage's database is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HerokuApp {
    /// The one app of the stage in this pipeline (by name or id). Where a stage
    /// has several, `app` picks one.
    InPipeline {
        /// The pipeline's name or id.
        pipeline: String,
        /// The app's name or id, where the stage has more than one.
        app: Option<String>,
    },
    /// This app (by name or id), whatever its stage is called on Heroku.
    Named(String),
}

/// The variables that choose a provider, and those of each.
#[derive(Deserialize)]
pub(super) struct ProviderVariables {
    stagelink_provider: Option<String>,
    stagelink_heroku_pipeline: Option<String>,
    stagelink_heroku_app: Option<String>,
    heroku_api_key: Option<SecretString>,
    stagelink_heroku_api_url: Option<String>,
    stagelink_config_var: Option<String>,
    database_url: Option<SecretString>,
}

/// A provider by its name in `STAGELINK_PROVIDER`.
#[derive(Clone, Copy)]
enum Kind {
    Heroku,
    Url,
}

impl ProviderVariables {
    /// Whether a variable is one of these, beside those that begin with `STAGELINK_`.
    pub(super) fn knows(name: &str) -> bool {
        matches!(name, "HEROKU_API_KEY" | "DATABASE_URL")
    }

    /// The provider that is chosen, or the only one whose variables are set.
    pub(super) fn parse(self) -> Result<Option<ProviderSettings>, Error> {
        let kind = match &self.stagelink_provider {
            Some(name) => Some(Kind::parse(name)?),
            None => self.only_one()?,
        };
        kind.map(|kind| match kind {
            Kind::Heroku => self.heroku().map(ProviderSettings::Heroku),
            Kind::Url => self.url().map(ProviderSettings::Url),
        })
        .transpose()
    }

    /// The one provider whose variables say where the database is. A token says
    /// nothing: it may serve another program.
    fn only_one(&self) -> Result<Option<Kind>, Error> {
        let set: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|kind| match kind {
                Kind::Heroku => {
                    self.stagelink_heroku_pipeline.is_some() || self.stagelink_heroku_app.is_some()
                }
                Kind::Url => self.database_url.is_some(),
            })
            .collect();
        match set.as_slice() {
            [] => Ok(None),
            [kind] => Ok(Some(*kind)),
            _ => {
                let found: Vec<_> = set.iter().map(|kind| kind.found()).collect();
                Err(settings(format!(
                    "{} sources of the database are set ({}): remove all but one, or choose with \
                     STAGELINK_PROVIDER ({NAMES})",
                    found.len(),
                    found.join(", ")
                )))
            }
        }
    }

    fn heroku(self) -> Result<HerokuSettings, Error> {
        let app = match (self.stagelink_heroku_pipeline, self.stagelink_heroku_app) {
            (Some(pipeline), app) => HerokuApp::InPipeline { pipeline, app },
            (None, Some(app)) => HerokuApp::Named(app),
            (None, None) => {
                return Err(settings(
                    "STAGELINK_PROVIDER is heroku, but neither STAGELINK_HEROKU_PIPELINE nor \
                     STAGELINK_HEROKU_APP says whose database it is",
                ));
            }
        };
        Ok(HerokuSettings {
            app,
            token: self.heroku_api_key.ok_or_else(|| {
                settings(
                    "HEROKU_API_KEY is not set: make a token with `heroku authorizations:create \
                     --scope read-protected` and set it as a secret",
                )
            })?,
            api_url: self
                .stagelink_heroku_api_url
                .unwrap_or_else(|| "https://api.heroku.com".to_owned()),
            config_var: self
                .stagelink_config_var
                .unwrap_or_else(|| "DATABASE_URL".to_owned()),
        })
    }

    fn url(self) -> Result<SecretString, Error> {
        self.database_url
            .ok_or_else(|| settings("STAGELINK_PROVIDER is url, but DATABASE_URL is not set"))
    }
}

impl Kind {
    const ALL: [Self; 2] = [Self::Heroku, Self::Url];

    fn parse(name: &str) -> Result<Self, Error> {
        Ok(match name.trim() {
            "heroku" => Self::Heroku,
            "url" => Self::Url,
            // What stands there instead may be a secret in the wrong place.
            _ => {
                return Err(settings(format!(
                    "STAGELINK_PROVIDER names no provider that is known: use {NAMES}"
                )));
            }
        })
    }

    /// What of it was found in the environment.
    fn found(self) -> &'static str {
        match self {
            Self::Heroku => "a Heroku pipeline or app",
            Self::Url => "DATABASE_URL",
        }
    }
}

fn settings(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Settings, message)
}

const NAMES: &str = "heroku or url";
