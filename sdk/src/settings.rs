//! Everything that the environment says: the one place that reads it.

use std::num::NonZeroUsize;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::error::{Error, ErrorKind};
use crate::stage::Stage;

/// What a function knows of its stage and its database before it asks anybody.
///
/// | variable | meaning | default |
/// | --- | --- | --- |
/// | `STAGELINK_STAGE` | the stage that this deploy serves: `review`, `development`, `staging` or `production` | none: without it every request is refused |
/// | `STAGELINK_SEALED` | the stage's credentials as they were at deploy time, as `STAGE=URL`, a secret: the provider is asked only when they have gone stale | none: the provider is asked at the start |
/// | `STAGELINK_PROVIDER` | where the stage's database URL comes from: `heroku` or `url` | the one whose variables are set; both or neither is an error |
/// | `STAGELINK_HEROKU_PIPELINE` | name or id of the Heroku pipeline whose app of that stage owns the database | none |
/// | `STAGELINK_HEROKU_APP` | name or id of the app: with a pipeline it picks one of several in the stage, without one it is taken as the stage's app | none |
/// | `HEROKU_API_KEY` | a token that may read the app's config vars (scope `read-protected`) | none |
/// | `STAGELINK_HEROKU_API_URL` | the Platform API; plain `http` only on this machine | `https://api.heroku.com` |
/// | `STAGELINK_CONFIG_VAR` | the config var that holds the database URL | `DATABASE_URL` |
/// | `DATABASE_URL` | the database itself, for the provider `url` | none |
/// | `STAGELINK_POOL_SIZE` | connections that one instance may hold | `1`: an instance serves one request at a time |
/// | `STAGELINK_RESOLVE_TIMEOUT_MS` | milliseconds for the provider to answer | `4000` |
/// | `STAGELINK_CONNECT_TIMEOUT_MS` | milliseconds to open a connection, from the name look-up to the session's start | `4000` |
/// | `STAGELINK_WAIT_TIMEOUT_MS` | milliseconds to wait for one of the pool's connections | `4000` |
/// | `STAGELINK_RETRY_TIMEOUT_MS` | milliseconds to go on trying, from the beginning of a trouble on | `10000` |
///
/// To resolve and to connect together takes less than the 10 seconds that AWS
/// Lambda gives a function for its start.
#[derive(Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The stage that this deploy serves.
    pub stage: Stage,
    /// The stage's credentials as they were at deploy time, as `STAGE=URL`.
    pub sealed: Option<SecretString>,
    /// Where the stage's database URL comes from. Only beside sealed
    /// credentials it may be `None`: then nobody is asked when they go stale.
    pub provider: Option<ProviderSettings>,
    /// How many connections, and how long to wait for each step.
    pub limits: Limits,
}

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

/// How many connections an instance may hold, and how long each step may take.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections per instance. Defaults to 1: an instance of a function
    /// serves one request at a time, and databases count connections.
    pub pool_size: NonZeroUsize,
    /// For the provider to answer. Defaults to 4 seconds.
    pub resolve: Duration,
    /// To open a connection, from the name look-up to the session's start.
    /// Defaults to 4 seconds.
    pub connect: Duration,
    /// To wait for one of the pool's connections. Defaults to 4 seconds.
    pub wait: Duration,
    /// To go on trying, from the beginning of a trouble on. Defaults to 10
    /// seconds: longer than a small database takes to restart, and shorter than
    /// people wait for a page. The invocation's own limit is kept in any case.
    pub retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pool_size: NonZeroUsize::MIN,
            resolve: Duration::from_secs(4),
            connect: Duration::from_secs(4),
            wait: Duration::from_secs(4),
            retry: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stage`] when no stage is named, or none that exists;
    /// [`ErrorKind::Settings`] when the provider is not clear or a variable
    /// cannot be read. The message names the variable, never its value.
    pub fn from_env() -> Result<Self, Error> {
        let utf8 = |text: std::ffi::OsString| text.into_string().ok();
        Self::from_vars(
            std::env::vars_os().filter_map(|(name, value)| Some((utf8(name)?, utf8(value)?))),
        )
    }

    /// Reads any set of variables, as [`from_env`](Self::from_env) reads the environment.
    ///
    /// ```
    /// use stagelink::{Settings, Stage};
    ///
    /// let settings = Settings::from_vars([
    ///     ("STAGELINK_STAGE", "staging"),
    ///     ("STAGELINK_HEROKU_PIPELINE", "guestbook"),
    ///     ("HEROKU_API_KEY", "…"),
    /// ])?;
    /// assert_eq!(settings.stage, Stage::Staging);
    /// # Ok::<(), stagelink::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_vars<N, V>(vars: impl IntoIterator<Item = (N, V)>) -> Result<Self, Error>
    where
        N: Into<String>,
        V: Into<String>,
    {
        // A variable that is set to nothing counts as not set: some consoles
        // cannot remove one.
        let set = vars
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(name, value)| Variables::knows(name) && !value.trim().is_empty());
        let variables: Variables = envy::from_iter(set).map_err(|error| {
            Error::because(ErrorKind::Settings, "could not read the environment", error)
        })?;
        variables.parse()
    }
}

/// Whether a Lambda runtime started this process: it says where it listens.
pub(crate) fn started_by_lambda() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// The variables as they stand in the environment. All are texts here: `envy`
/// would put a number that it cannot read into its message, and a value that
/// was pasted into the wrong variable may be a secret.
#[derive(Deserialize)]
struct Variables {
    stagelink_stage: Option<String>,
    stagelink_sealed: Option<SecretString>,
    stagelink_provider: Option<String>,
    stagelink_heroku_pipeline: Option<String>,
    stagelink_heroku_app: Option<String>,
    heroku_api_key: Option<SecretString>,
    stagelink_heroku_api_url: Option<String>,
    stagelink_config_var: Option<String>,
    database_url: Option<SecretString>,
    stagelink_pool_size: Option<String>,
    stagelink_resolve_timeout_ms: Option<String>,
    stagelink_connect_timeout_ms: Option<String>,
    stagelink_wait_timeout_ms: Option<String>,
    stagelink_retry_timeout_ms: Option<String>,
}

impl Variables {
    /// Whether a variable is one of ours. Environments hold many others, and
    /// some twice in different cases, which `envy` would refuse.
    fn knows(name: &str) -> bool {
        name.starts_with("STAGELINK_") || name == "HEROKU_API_KEY" || name == "DATABASE_URL"
    }

    fn parse(mut self) -> Result<Settings, Error> {
        let stage = self
            .stagelink_stage
            .as_deref()
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Stage,
                    "no stage is known: STAGELINK_STAGE is not set; set it to review, \
                     development, staging or production for each deploy context",
                )
            })?
            .parse()?;
        let sealed = self.stagelink_sealed.is_some();
        let defaults = Limits::default();
        let limits = Limits {
            pool_size: number("STAGELINK_POOL_SIZE", self.stagelink_pool_size.as_deref())?
                .unwrap_or(defaults.pool_size),
            resolve: milliseconds(
                "STAGELINK_RESOLVE_TIMEOUT_MS",
                self.stagelink_resolve_timeout_ms.as_deref(),
            )?
            .unwrap_or(defaults.resolve),
            connect: milliseconds(
                "STAGELINK_CONNECT_TIMEOUT_MS",
                self.stagelink_connect_timeout_ms.as_deref(),
            )?
            .unwrap_or(defaults.connect),
            wait: milliseconds(
                "STAGELINK_WAIT_TIMEOUT_MS",
                self.stagelink_wait_timeout_ms.as_deref(),
            )?
            .unwrap_or(defaults.wait),
            retry: milliseconds(
                "STAGELINK_RETRY_TIMEOUT_MS",
                self.stagelink_retry_timeout_ms.as_deref(),
            )?
            .unwrap_or(defaults.retry),
        };
        Ok(Settings {
            stage,
            sealed: self.stagelink_sealed.take(),
            limits,
            provider: self.provider(sealed)?,
        })
    }

    /// The provider that is chosen, or the only one whose variables are set.
    fn provider(self, sealed: bool) -> Result<Option<ProviderSettings>, Error> {
        let names_heroku =
            self.stagelink_heroku_pipeline.is_some() || self.stagelink_heroku_app.is_some();
        match (
            self.stagelink_provider.as_deref(),
            names_heroku,
            self.database_url.is_some(),
        ) {
            (Some("heroku"), _, _) | (None, true, false) => self.heroku().map(Some),
            (Some("url"), _, _) | (None, false, true) => self.url().map(Some),
            (None, false, false) if sealed => Ok(None),
            (Some(_), _, _) => Err(Error::new(
                ErrorKind::Settings,
                "STAGELINK_PROVIDER names no provider that is known: use heroku or url",
            )),
            (None, true, true) => Err(Error::new(
                ErrorKind::Settings,
                "two sources of the database are set, a Heroku app or pipeline and DATABASE_URL: \
                 remove one, or choose with STAGELINK_PROVIDER (heroku or url)",
            )),
            (None, false, false) => Err(Error::new(
                ErrorKind::Settings,
                "no source of the database is set: set STAGELINK_HEROKU_PIPELINE and \
                 HEROKU_API_KEY to ask Heroku, or DATABASE_URL, or STAGELINK_SEALED",
            )),
        }
    }

    fn heroku(self) -> Result<ProviderSettings, Error> {
        let app = match (self.stagelink_heroku_pipeline, self.stagelink_heroku_app) {
            (Some(pipeline), app) => HerokuApp::InPipeline { pipeline, app },
            (None, Some(app)) => HerokuApp::Named(app),
            (None, None) => {
                return Err(Error::new(
                    ErrorKind::Settings,
                    "STAGELINK_PROVIDER is heroku, but neither STAGELINK_HEROKU_PIPELINE nor \
                     STAGELINK_HEROKU_APP says whose database it is",
                ));
            }
        };
        let token = self.heroku_api_key.ok_or_else(|| {
            Error::new(
                ErrorKind::Settings,
                "HEROKU_API_KEY is not set: make a token with `heroku authorizations:create \
                 --scope read-protected` and set it as a secret",
            )
        })?;
        Ok(ProviderSettings::Heroku(HerokuSettings {
            app,
            token,
            api_url: self
                .stagelink_heroku_api_url
                .unwrap_or_else(|| "https://api.heroku.com".to_owned()),
            config_var: self
                .stagelink_config_var
                .unwrap_or_else(|| "DATABASE_URL".to_owned()),
        }))
    }

    fn url(self) -> Result<ProviderSettings, Error> {
        self.database_url.map(ProviderSettings::Url).ok_or_else(|| {
            Error::new(
                ErrorKind::Settings,
                "STAGELINK_PROVIDER is url, but DATABASE_URL is not set",
            )
        })
    }
}

fn number(name: &str, text: Option<&str>) -> Result<Option<NonZeroUsize>, Error> {
    text.map(|text| {
        text.trim().parse().map_err(|_| {
            Error::new(
                ErrorKind::Settings,
                format!("{name} is not a whole number above zero"),
            )
        })
    })
    .transpose()
}

fn milliseconds(name: &str, text: Option<&str>) -> Result<Option<Duration>, Error> {
    Ok(number(name, text)?.map(|number| Duration::from_millis(number.get() as u64)))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const HEROKU: [(&str, &str); 3] = [
        ("STAGELINK_STAGE", "staging"),
        ("STAGELINK_HEROKU_PIPELINE", "guestbook"),
        ("HEROKU_API_KEY", "token-c4n4ry"),
    ];

    fn with(extra: &[(&'static str, &'static str)]) -> Result<Settings, Error> {
        Settings::from_vars(HEROKU.iter().chain(extra).copied())
    }

    fn refusal(vars: &[(&'static str, &'static str)]) -> Error {
        Settings::from_vars(vars.iter().copied()).unwrap_err()
    }

    #[test]
    fn heroku_settings_get_their_defaults() {
        let settings = with(&[]).unwrap();
        assert_eq!(settings.stage, Stage::Staging);
        assert_eq!(settings.limits.pool_size.get(), 1);
        let Some(ProviderSettings::Heroku(heroku)) = settings.provider else {
            panic!("not heroku")
        };
        assert_eq!(heroku.api_url, "https://api.heroku.com");
        assert_eq!(heroku.config_var, "DATABASE_URL");
        assert_eq!(heroku.token.expose_secret(), "token-c4n4ry");
    }

    #[test]
    fn debug_holds_no_secret() {
        let settings = with(&[]).unwrap();
        assert!(!format!("{settings:?}").contains("c4n4ry"));
    }

    #[test]
    fn missing_stage_is_refused_by_name() {
        let error = refusal(&HEROKU[1..]);
        assert_eq!(error.kind(), ErrorKind::Stage);
        assert!(error.to_string().contains("STAGELINK_STAGE is not set"));
    }

    #[test]
    fn empty_variable_counts_as_not_set() {
        let error = refusal(&[("STAGELINK_STAGE", ""), HEROKU[1], HEROKU[2]]);
        assert!(error.to_string().contains("is not set"));
    }

    #[test]
    fn two_sources_without_a_choice_are_refused() {
        let error = with(&[("DATABASE_URL", "postgres://u:c4n4ry@h/d")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(error.to_string().contains("STAGELINK_PROVIDER"));
        assert!(!format!("{error:?}").contains("c4n4ry"));
        let url = with(&[
            ("DATABASE_URL", "postgres://u:p@h/d"),
            ("STAGELINK_PROVIDER", "url"),
        ]);
        assert!(matches!(
            url.unwrap().provider,
            Some(ProviderSettings::Url(_))
        ));
    }

    #[test]
    fn sealed_credentials_need_no_provider() {
        let sealed = ("STAGELINK_SEALED", "staging=postgres://u:c4n4ry@h/d");
        let settings = Settings::from_vars([HEROKU[0], sealed]).unwrap();
        assert!(settings.provider.is_none() && settings.sealed.is_some());
        assert!(!format!("{settings:?}").contains("c4n4ry"));
        assert!(with(&[sealed]).unwrap().provider.is_some());
    }

    #[test]
    fn no_source_is_refused() {
        let error = refusal(&HEROKU[..1]);
        assert!(error.to_string().contains("no source of the database"));
    }

    #[test]
    fn missing_token_says_how_to_make_one() {
        let error = refusal(&HEROKU[..2]);
        assert!(error.to_string().contains("authorizations:create"));
    }

    #[test]
    fn app_alone_and_app_in_pipeline_are_told_apart() {
        let in_pipeline = with(&[("STAGELINK_HEROKU_APP", "shop")]).unwrap();
        let alone =
            Settings::from_vars([HEROKU[0], HEROKU[2], ("STAGELINK_HEROKU_APP", "shop")]).unwrap();
        let app = |settings: Settings| match settings.provider {
            Some(ProviderSettings::Heroku(heroku)) => heroku.app,
            _ => panic!("not heroku"),
        };
        assert_eq!(app(alone), HerokuApp::Named("shop".into()));
        assert_eq!(
            app(in_pipeline),
            HerokuApp::InPipeline {
                pipeline: "guestbook".into(),
                app: Some("shop".into())
            }
        );
    }

    #[test]
    fn unreadable_number_names_the_variable_and_not_the_value() {
        for name in [
            "STAGELINK_POOL_SIZE",
            "STAGELINK_RESOLVE_TIMEOUT_MS",
            "STAGELINK_CONNECT_TIMEOUT_MS",
            "STAGELINK_WAIT_TIMEOUT_MS",
            "STAGELINK_RETRY_TIMEOUT_MS",
        ] {
            for value in ["c4n4ry", "0", "-1", "1.5"] {
                let error = with(&[(name, value)]).unwrap_err();
                assert!(error.to_string().contains(name));
                assert!(!format!("{error:?}").contains(value));
            }
        }
    }

    #[test]
    fn unknown_provider_is_refused() {
        let error = with(&[("STAGELINK_PROVIDER", "c4n4ry")]).unwrap_err();
        assert!(error.to_string().contains("use heroku or url"));
        assert!(!error.to_string().contains("c4n4ry"));
    }
}
