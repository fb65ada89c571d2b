//! The provider of a stage's database URL, and its settings.

use secrecy::SecretString;
use serde::Deserialize;

use crate::config::source::{IgnoredSource, Located, Source, SourceChoice};
use crate::config::{HttpsSettings, Pooler};
use crate::error::{Error, ErrorKind};
use crate::stage::{Stage, StageKind};

/// The source of a stage's database URL.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProviderSettings {
    /// A Heroku app's config vars, read over the Platform API.
    Heroku(HerokuSettings),
    /// A branch of a Neon project, read over the Neon API.
    Neon(NeonSettings),
    /// A Postgres on Render, read over the Render API.
    Render(RenderSettings),
    /// A fixed URL.
    Url(SecretString),
}

impl ProviderSettings {
    /// Sets how requests to the provider are encrypted. A fixed URL makes none.
    #[must_use]
    pub fn with_https(mut self, https: HttpsSettings) -> Self {
        match &mut self {
            Self::Heroku(settings) => settings.https = https,
            Self::Neon(settings) => settings.https = https,
            Self::Render(settings) => settings.https = https,
            Self::Url(_) => {}
        }
        self
    }
}

/// The settings for Heroku.
#[derive(Debug)]
#[non_exhaustive]
pub struct HerokuSettings {
    /// The app that owns the stage's database.
    pub app: HerokuApp,
    /// The token: it needs the scope `read-protected`, no more.
    pub token: SecretString,
    /// The base URL of the Platform API. Heroku's own by default.
    pub api_url: String,
    /// The config var that holds the database URL. `DATABASE_URL` by default, to which Heroku
    /// attaches an app's first database.
    pub config_var: String,
    /// Takes the URL of the database's pooler where the app has one:
    /// `DATABASE_CONNECTION_POOL_URL` beside `DATABASE_URL`. `true` by default: a function has many
    /// instances with a connection each, and a database has few connections.
    pub pooler: bool,
    /// Asks for the app's name as well, at the cost of one more request, so that what a person
    /// reads has the name in place of the id. `false` by default, since functions need no name.
    pub names_app: bool,
    /// The encryption of requests.
    pub https: HttpsSettings,
}

/// The way to the app that owns a stage's database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HerokuApp {
    /// The stage's app in this pipeline. Where the pipeline has several of the stage's kind, `app`
    /// selects one; a stage with a name of its own needs it.
    ///
    /// A preview (stage review) gets the review app of its pull request. Where the pull request
    /// has none, the preview gets the named app, if that is in stage review or development, and
    /// no other: never another pull request's, even if it is the only one.
    #[non_exhaustive]
    InPipeline {
        /// The pipeline's name or id.
        pipeline: String,
        /// The app's name or id, where the pipeline has more than one of the stage's kind.
        app: Option<String>,
        /// The number of the pull request that a preview shows.
        pull_request: Option<u64>,
    },
    /// The app of this name or id, whatever its stage on Heroku.
    Named(String),
}

impl HerokuApp {
    /// Refuses a pipeline alone for a stage with a name of its own. A pipeline knows kinds alone, so
    /// the only app of that kind may be another stage's. A preview's app is its pull request's.
    pub(crate) fn check_for(&self, stage: Stage) -> Result<(), Error> {
        let is_known_by_kind = !stage.has_own_name() || stage.kind() == StageKind::Review;
        match self {
            Self::InPipeline {
                pipeline,
                app: None,
                ..
            } if !is_known_by_kind => Err(settings(format!(
                "stage {stage} has a name of its own, by which the pipeline {pipeline} does not find \
                 its app: set STAGELINK_HEROKU_APP to the app's name"
            ))),
            Self::InPipeline { .. } | Self::Named(_) => Ok(()),
        }
    }
}

/// The settings for Neon.
#[derive(Debug)]
#[non_exhaustive]
pub struct NeonSettings {
    /// The project's id.
    pub project: String,
    /// The id of this stage's branch. It has no default, since Neon's own is the project's
    /// default branch, whatever the stage.
    pub branch: String,
    /// The database's name.
    pub database: String,
    /// The role's name.
    pub role: String,
    /// Connects through Neon's PgBouncer. `true` by default: a function has many instances with a
    /// connection each, and a database has few connections.
    pub pooled: bool,
    /// The API key: one that is scoped to the project is enough.
    pub token: SecretString,
    /// The base URL of the Neon API. Neon's own by default.
    pub api_url: String,
    /// The encryption of requests.
    pub https: HttpsSettings,
}

/// The settings for Render.
#[derive(Debug)]
#[non_exhaustive]
pub struct RenderSettings {
    /// The id of this stage's Postgres.
    pub postgres: String,
    /// The API key. Render's keys read everything that their user can see, so take one of a user
    /// with access to this Postgres alone.
    pub token: SecretString,
    /// The base URL of the Render API. Render's own by default.
    pub api_url: String,
    /// The encryption of requests.
    pub https: HttpsSettings,
}

#[cfg(feature = "lambda")]
impl ProviderSettings {
    /// Refuses a source that knows only one database, whatever the stage.
    pub(super) fn tells_stages_apart(&self, stage: Stage) -> Result<(), Error> {
        let what = match self {
            Self::Heroku(heroku) => match heroku.app {
                HerokuApp::InPipeline { .. } => return Ok(()),
                HerokuApp::Named(_) => "STAGELINK_HEROKU_APP without a pipeline",
            },
            Self::Neon(_) => "STAGELINK_NEON_BRANCH",
            Self::Render(_) => "STAGELINK_RENDER_POSTGRES",
            Self::Url(_) => "DATABASE_URL",
        };
        Err(settings(format!(
            "stage {stage} comes from the alias that the function was invoked by, but {what} knows \
             one database, whatever the stage: set STAGELINK_HEROKU_PIPELINE, put the URL of each \
             stage in STAGELINK_CREDENTIALS, or set STAGELINK_STAGE"
        )))
    }
}

/// The variables that choose a provider, and those of each.
#[derive(Clone, Deserialize)]
pub(super) struct ProviderVariables {
    stagelink_provider: Option<String>,
    stagelink_heroku_pipeline: Option<String>,
    stagelink_heroku_app: Option<String>,
    stagelink_heroku_pull_request: Option<String>,
    heroku_api_key: Option<SecretString>,
    stagelink_heroku_api_url: Option<String>,
    stagelink_config_var: Option<String>,
    stagelink_neon_project: Option<String>,
    stagelink_neon_branch: Option<String>,
    stagelink_neon_database: Option<String>,
    stagelink_neon_role: Option<String>,
    neon_api_key: Option<SecretString>,
    stagelink_neon_api_url: Option<String>,
    stagelink_render_postgres: Option<String>,
    render_api_key: Option<SecretString>,
    stagelink_render_api_url: Option<String>,
    database_url: Option<SecretString>,
}

impl ProviderVariables {
    /// Returns whether a variable is one of these, beside those that begin with `STAGELINK_`.
    pub(super) fn knows(name: &str) -> bool {
        matches!(
            name,
            "HEROKU_API_KEY" | "NEON_API_KEY" | "RENDER_API_KEY" | "DATABASE_URL"
        )
    }

    /// Chooses the source of the stage's database. `has_deploy_time` is true beside deploy-time
    /// credentials.
    pub(super) fn choose(
        &self,
        stage: Stage,
        has_deploy_time: bool,
    ) -> Result<SourceChoice, Error> {
        let named = self.stagelink_provider.as_deref().map(Source::parse);
        SourceChoice::new(named.transpose()?, &self.located(), stage, has_deploy_time)
    }

    /// Returns the settings of the chosen source, with its pooler or without, and the source that
    /// is ignored. `built_for` is the pull request that this was built for.
    pub(super) fn parse(
        mut self,
        stage: Stage,
        has_deploy_time: bool,
        pooler: Pooler,
        built_for: Option<&str>,
    ) -> Result<(Option<ProviderSettings>, Option<IgnoredSource>), Error> {
        let pull_request = self.pull_request(stage, built_for)?;
        let source = match self.choose(stage, has_deploy_time)? {
            SourceChoice::Use(source) => source,
            SourceChoice::Ignored(ignored) => return Ok((None, Some(ignored))),
            SourceChoice::None => return Ok((None, None)),
        };
        let settings = match source {
            Source::Heroku => ProviderSettings::Heroku(self.heroku(pooler, pull_request)?),
            Source::Neon => ProviderSettings::Neon(self.neon(pooler)?),
            Source::Render => ProviderSettings::Render(self.render()?),
            Source::Url => ProviderSettings::Url(self.url()?),
        };
        Ok((Some(settings), None))
    }

    /// Lists the sources whose variables locate a database. A token locates nothing: it may serve
    /// another program.
    fn located(&self) -> Vec<Located> {
        let has_pipeline = self.stagelink_heroku_pipeline.is_some();
        let heroku = match has_pipeline {
            true => Some("STAGELINK_HEROKU_PIPELINE"),
            false => named("STAGELINK_HEROKU_APP", self.stagelink_heroku_app.is_some()),
        };
        let neon = named(
            "STAGELINK_NEON_BRANCH",
            self.stagelink_neon_branch.is_some(),
        )
        .or(named(
            "STAGELINK_NEON_PROJECT",
            self.stagelink_neon_project.is_some(),
        ));
        let render = named(
            "STAGELINK_RENDER_POSTGRES",
            self.stagelink_render_postgres.is_some(),
        );
        let url = named("DATABASE_URL", self.database_url.is_some());
        [
            (Source::Heroku, heroku, has_pipeline),
            (Source::Neon, neon, false),
            (Source::Render, render, false),
            (Source::Url, url, false),
        ]
        .into_iter()
        .filter_map(|(source, variable, tells_stages_apart)| {
            Some(Located {
                source,
                variable: variable?,
                tells_stages_apart,
            })
        })
        .collect()
    }

    /// The pull request that a preview shows. What was built in says nothing of other
    /// stages: a build may be of both.
    fn pull_request(
        &mut self,
        stage: Stage,
        built_for: Option<&str>,
    ) -> Result<Option<u64>, Error> {
        let set = self.stagelink_heroku_pull_request.take();
        if set.is_some() && stage.kind() != StageKind::Review {
            return Err(settings(format!(
                "STAGELINK_HEROKU_PULL_REQUEST is set in stage {stage}, but only stage review has \
                 pull requests: set it for the deploy contexts of previews alone"
            )));
        }
        let (name, text) = match (&set, built_for) {
            _ if stage.kind() != StageKind::Review => return Ok(None),
            (Some(text), _) => ("STAGELINK_HEROKU_PULL_REQUEST", text.as_str()),
            (None, Some(text)) if !text.trim().is_empty() => {
                ("STAGELINK_BUILT_FOR_PULL_REQUEST", text)
            }
            (None, _) => return Ok(None),
        };
        match text.trim().parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(settings(format!(
                "{name} is not the number of a pull request"
            ))),
        }
    }

    fn heroku(self, pooler: Pooler, pull_request: Option<u64>) -> Result<HerokuSettings, Error> {
        let app = match (self.stagelink_heroku_pipeline, self.stagelink_heroku_app) {
            (Some(pipeline), app) => HerokuApp::InPipeline {
                pipeline,
                app,
                pull_request,
            },
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
            token: needed(
                self.heroku_api_key,
                "HEROKU_API_KEY",
                "make a token with `heroku authorizations:create --scope read-protected` and set \
                 it as a secret",
            )?,
            api_url: self
                .stagelink_heroku_api_url
                .unwrap_or_else(|| HEROKU_API.to_owned()),
            config_var: self
                .stagelink_config_var
                .unwrap_or_else(|| "DATABASE_URL".to_owned()),
            pooler: pooler != Pooler::Never,
            names_app: false,
            https: HttpsSettings::default(),
        })
    }

    fn neon(self, pooler: Pooler) -> Result<NeonSettings, Error> {
        Ok(NeonSettings {
            project: needed(
                self.stagelink_neon_project,
                "STAGELINK_NEON_PROJECT",
                "set it to the id of the Neon project that holds this stage's branch",
            )?,
            branch: needed(
                self.stagelink_neon_branch,
                "STAGELINK_NEON_BRANCH",
                "set it to the id of this stage's own branch (br-…), for each deploy context; the \
                 project's default branch is never taken for a stage",
            )?,
            database: needed(
                self.stagelink_neon_database,
                "STAGELINK_NEON_DATABASE",
                "set it to the name of the database on the branch",
            )?,
            role: needed(
                self.stagelink_neon_role,
                "STAGELINK_NEON_ROLE",
                "set it to the name of the role that the function logs in as",
            )?,
            pooled: pooler != Pooler::Never,
            token: needed(
                self.neon_api_key,
                "NEON_API_KEY",
                "make an API key that is scoped to the project, in the Neon console under \
                 Settings > API keys, and set it as a secret",
            )?,
            api_url: self
                .stagelink_neon_api_url
                .unwrap_or_else(|| NEON_API.to_owned()),
            https: HttpsSettings::default(),
        })
    }

    fn render(self) -> Result<RenderSettings, Error> {
        Ok(RenderSettings {
            postgres: needed(
                self.stagelink_render_postgres,
                "STAGELINK_RENDER_POSTGRES",
                "set it to the id of this stage's Postgres on Render (dpg-…)",
            )?,
            token: needed(
                self.render_api_key,
                "RENDER_API_KEY",
                "make an API key in the Render dashboard under Account Settings > API Keys and \
                 set it as a secret",
            )?,
            api_url: self
                .stagelink_render_api_url
                .unwrap_or_else(|| RENDER_API.to_owned()),
            https: HttpsSettings::default(),
        })
    }

    fn url(self) -> Result<SecretString, Error> {
        needed(
            self.database_url,
            "DATABASE_URL",
            "set it to the URL of this stage's database, as a secret, or choose another provider \
             with STAGELINK_PROVIDER",
        )
    }
}

/// A variable that the chosen provider cannot do without.
fn needed<T>(value: Option<T>, name: &str, advice: &str) -> Result<T, Error> {
    value.ok_or_else(|| settings(format!("{name} is not set: {advice}")))
}

/// Returns the name of a variable that is set.
fn named(name: &'static str, is_set: bool) -> Option<&'static str> {
    is_set.then_some(name)
}

fn settings(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Settings, message)
}

/// The variable that holds a fixed URL.
pub(crate) const URL_VARIABLE: &str = "DATABASE_URL";
pub(super) const HEROKU_API: &str = "https://api.heroku.com";
pub(super) const NEON_API: &str = "https://console.neon.tech";
pub(super) const RENDER_API: &str = "https://api.render.com";
