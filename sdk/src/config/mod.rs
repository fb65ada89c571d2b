//! The settings of a function, from the environment or built.

mod builder;
mod edit_distance;
mod environment;
mod https;
mod limits;
mod names;
mod provider;
mod provider_choice;
mod server;
mod source;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use secrecy::SecretString;

use crate::error::{Error, ErrorKind};
use crate::stage::{Stage, StageKind};

pub(crate) use self::environment::{Environment, paths};
#[cfg(feature = "lambda")]
pub(crate) use self::environment::{
    LogVariables, asks_for_local_spans, has_snapstart, ignores_stage_in_path, lambda_concurrency,
    lambda_runtime_api, log_variables, self_check_key,
};
pub(crate) use self::provider::URL_VARIABLE;
pub(crate) use self::source::IgnoredSource;

pub use self::builder::SettingsBuilder;
pub use self::https::{HttpsSettings, TlsLibrary};
pub use self::limits::Limits;
pub use self::names::{ensure_known_names, is_performance_variable, unknown_names};
pub use self::provider::{
    HerokuApp, HerokuSettings, NeonSettings, ProviderSettings, RenderSettings,
};
pub use self::provider_choice::ProviderChoice;
pub use self::server::{Pooler, ServerPin, ServerSettings};

/// The stage of a function, and where its database comes from.
///
/// | variable | meaning | default |
/// | --- | --- | --- |
/// | `STAGELINK_STAGE` | the stage that this deploy serves: `review`, `development`, `staging` or `production`, or `KIND/NAME` for a stage with a name of its own, such as `staging/qa` | on AWS Lambda the stage that the invoked alias is named after (see [`Databases`](crate::Databases)); else none, and every request is refused |
/// | `STAGELINK_CREDENTIALS` | the stage's credentials as they were at deploy time, as `STAGE=URL`, a secret: the provider is asked only when they have gone stale. Where the alias names the stage, one entry for each stage, with white space between | none: the provider is asked at the start |
/// | `STAGELINK_PROVIDER` | where the stage's database URL comes from: `heroku`, `neon`, `render` or `url` | the one whose variables are set, and several are an error. Beside `STAGELINK_CREDENTIALS` and in stage review only a Heroku pipeline: other sources know one database, which may be another stage's, and are ignored unless this variable names them |
/// | `STAGELINK_HEROKU_PIPELINE` | name or id of the Heroku pipeline whose app of that stage owns the database | none |
/// | `STAGELINK_HEROKU_APP` | name or id of the app: with a pipeline it picks one of several in the stage, and a stage with a name of its own needs it; without one it is taken as the stage's app (beside `STAGELINK_CREDENTIALS` and in stage review with `STAGELINK_PROVIDER=heroku` only). In stage review it is for pull requests that have no review app, and in a pipeline has to be in stage review or development | none |
/// | `STAGELINK_HEROKU_PULL_REQUEST` | in stage review, the number of the pull request whose review app in the pipeline owns the database | the value of `STAGELINK_BUILT_FOR_PULL_REQUEST` when the function was compiled, if it had one: a deploy preview's number is known to its build alone |
/// | `HEROKU_API_KEY` | a token that may read the app's config vars (scope `read-protected`) | none |
/// | `STAGELINK_HEROKU_API_URL` | the Platform API; plain `http` only on this machine | `https://api.heroku.com` |
/// | `STAGELINK_CONFIG_VAR` | the config var that holds the database URL | `DATABASE_URL` |
/// | `STAGELINK_NEON_PROJECT` | id of the Neon project | none |
/// | `STAGELINK_NEON_BRANCH` | id of the branch that is this stage's | none: the project's default branch is never taken |
/// | `STAGELINK_NEON_DATABASE`, `STAGELINK_NEON_ROLE` | names of the database on that branch, and of the role to log in as | none |
/// | `NEON_API_KEY` | an API key; one that is scoped to the project is enough | none |
/// | `STAGELINK_NEON_API_URL` | the Neon API; plain `http` only on this machine | `https://console.neon.tech` |
/// | `STAGELINK_RENDER_POSTGRES` | id of the Postgres on Render that is this stage's | none |
/// | `RENDER_API_KEY` | an API key | none |
/// | `STAGELINK_RENDER_API_URL` | the Render API; plain `http` only on this machine | `https://api.render.com` |
/// | `DATABASE_URL` | the database itself, for the provider `url`. Beside `STAGELINK_CREDENTIALS` and in stage review it is ignored without `STAGELINK_PROVIDER=url`: a URL that was set for all contexts is another stage's | none |
/// | `STAGELINK_REQUIRE_MARK` | `true` refuses a database that carries no mark of its stage (`stagelink mark set`) | `false`: it is let in with a warning; another stage's mark is refused in any case |
/// | `STAGELINK_SERVER_PIN` | public keys of which the database's server has to show one, as `sha256//BASE64`, separated by semicolons (`stagelink mark show` tells it): enough of a proof by itself, also for a pooler | none |
/// | `STAGELINK_ROOT_CERTIFICATES` | root certificates for the database's server, as PEM | the system's |
/// | `STAGELINK_PROVIDER_ROOT_CERTIFICATES` | root certificates for a provider's API beside those of public authorities, as PEM: a company's own | none; where `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, the system's in place of the public ones |
/// | `STAGELINK_TLS_LIBRARY` | `rustls` or `native-tls`, the platform's library (with the feature `native-tls`): it encrypts the connections to the database and to the provider | `rustls` |
/// | `STAGELINK_DIRECT_TLS` | `true` begins with the TLS handshake, a round trip less with Postgres 17 and newer | `false`: until a server has told its version |
/// | `STAGELINK_EARLY_SCRAM` | `false` waits until the server asks for SCRAM, a round trip more | `true` |
/// | `STAGELINK_DANGER_UNAUTHENTICATED` | `true` takes a server that proves nothing; refused for production | `false` |
/// | `STAGELINK_POOLER` | `auto`, `always` or `never`: whether the database is reached through a pooler that lends its sessions by the transaction, so that a session keeps nothing. `auto` takes the pooler's URL where the provider has one, and knows one by its name or its cancel key; a pooler that passes on the cancel keys of the database needs `always`; `never` takes the database's own URL | `auto` |
/// | `STAGELINK_POOL_SIZE` | connections that one instance may hold, 10,000 at most | `AWS_LAMBDA_MAX_CONCURRENCY`, where Lambda sets it; else `1`: an instance serves one request at a time |
/// | `STAGELINK_IDLE_TIMEOUT_MS` | milliseconds after which the server ends a session without a statement, so that an instance that is frozen or gone gives its place to others | `60000` |
/// | `STAGELINK_RESOLVE_TIMEOUT_MS` | milliseconds for the provider to answer | `4000` |
/// | `STAGELINK_CONNECT_TIMEOUT_MS` | milliseconds for each step of opening a connection: the TCP connection with its name look-up, TLS, and the session's start | `4000` |
/// | `STAGELINK_WAIT_TIMEOUT_MS` | milliseconds to wait for one of the pool's connections | `4000` |
/// | `STAGELINK_RETRY_TIMEOUT_MS` | milliseconds to go on trying, from the beginning of a trouble on | `10000` |
/// | `STAGELINK_MAX_MESSAGE_BYTES` | bytes of the longest message that the server may send, such as a row: a longer one ends the connection with an error before it takes the function's memory | an eighth of `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`; else `67108864` |
/// | `STAGELINK_SELF_CHECK_KEY` | the key of the [self-check](crate::self_check) of one deploy, a secret that `stagelink promote` and `stagelink deploy` set for that deploy alone: 64 hexadecimal digits | none: there is no self-check over HTTP |
/// | `STAGELINK_LOG_DETAIL` | `true` logs the DETAIL of a database error, which repeats values of the rows: a unique violation's holds the whole key | `false` |
///
/// The first connection is given up after 9 of the 10 seconds that AWS Lambda gives a
/// function for its start. Where the alias names the stage there is none before the first
/// request, and the source of the database has to tell the stages apart: a Heroku pipeline or
/// deploy-time credentials. `DATABASE_URL`, a Heroku app without a pipeline, Neon and Render know
/// one database, whatever the stage, and are refused then, or ignored beside deploy-time
/// credentials with an entry for the stage.
///
/// Names are exact, also in their case. Unknown ones that begin with `STAGELINK_` are listed in one
/// warning, with the nearest known name. A name within two edits of a variable of safety, or that
/// differs in case or separators alone, is an error: each of these says whose the database is, what
/// has to prove that, or whether its sessions are shared, and a default in its place would go
/// unnoticed.
///
/// Variables of safety: `STAGELINK_STAGE`, `STAGELINK_CREDENTIALS`, `STAGELINK_PROVIDER`,
/// `STAGELINK_HEROKU_PIPELINE`, `STAGELINK_HEROKU_APP`, `STAGELINK_HEROKU_PULL_REQUEST`,
/// `STAGELINK_HEROKU_API_URL`, `STAGELINK_CONFIG_VAR`, `STAGELINK_NEON_PROJECT`,
/// `STAGELINK_NEON_BRANCH`, `STAGELINK_NEON_DATABASE`, `STAGELINK_NEON_ROLE`,
/// `STAGELINK_NEON_API_URL`, `STAGELINK_RENDER_POSTGRES`, `STAGELINK_RENDER_API_URL`,
/// `STAGELINK_REQUIRE_MARK`, `STAGELINK_SERVER_PIN`, `STAGELINK_ROOT_CERTIFICATES`,
/// `STAGELINK_PROVIDER_ROOT_CERTIFICATES`, `STAGELINK_DANGER_UNAUTHENTICATED`, `STAGELINK_POOLER`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The stage that this deploy serves.
    pub stage: Stage,
    /// The stage's credentials as they were at deploy time, as `STAGE=URL`.
    pub deploy_time: Option<SecretString>,
    /// The source of the stage's database URL. It may be `None` beside deploy-time credentials,
    /// which are not renewed then, and in stage review, where a preview may have no database.
    pub provider: Option<ProviderSettings>,
    /// The number of connections, and the time limit of each step.
    pub limits: Limits,
    /// The proofs that the database and its server have to give.
    pub server: ServerSettings,
    /// A source of one database that the environment locates, and that is not asked.
    pub(crate) ignored_source: Option<IgnoredSource>,
    /// The variable that holds the URL of [`ProviderSettings::Url`], for messages.
    pub(crate) url_variable: Cow<'static, str>,
}

impl Settings {
    /// Returns these settings without the provider's pooler, for work that needs a session of
    /// its own, such as migrations. A URL that itself leads to a pooler still does, and its
    /// sessions are treated as such.
    #[must_use]
    pub fn without_pooler(mut self) -> Self {
        match &mut self.provider {
            Some(ProviderSettings::Heroku(heroku)) => heroku.pooler = false,
            Some(ProviderSettings::Neon(neon)) => neon.pooled = false,
            Some(ProviderSettings::Render(_) | ProviderSettings::Url(_)) | None => {}
        }
        self
    }

    /// Returns these settings for a command that a person runs: Heroku is asked for the names of
    /// its apps, so that messages and the origin of the credentials have them in place of ids.
    #[must_use]
    pub fn with_app_names(mut self) -> Self {
        if let Some(ProviderSettings::Heroku(heroku)) = &mut self.provider {
            heroku.names_app = true;
        }
        self
    }

    /// Returns these settings for a fixed URL that is from another variable than `DATABASE_URL`:
    /// messages and the origin of the credentials name that one.
    #[must_use]
    pub fn with_url_variable(mut self, name: impl Into<String>) -> Self {
        self.url_variable = Cow::Owned(name.into());
        self
    }

    /// Starts settings for a stage without the environment.
    ///
    /// ```
    /// use stagelink::{HerokuApp, HerokuSettings, Settings, Stage};
    ///
    /// let app = HerokuApp::in_pipeline("guestbook");
    /// let settings = Settings::builder(Stage::STAGING)
    ///     .provider(HerokuSettings::new(app, "token"))
    ///     .build()?;
    /// assert_eq!(settings.stage, Stage::STAGING);
    /// # Ok::<(), stagelink::Error>(())
    /// ```
    pub fn builder(stage: Stage) -> SettingsBuilder {
        SettingsBuilder::new(stage)
    }

    /// Checks what holds for all settings, from the environment or built.
    fn check(self) -> Result<Self, Error> {
        if self.provider.is_none()
            && self.deploy_time.is_none()
            && self.stage.kind() != StageKind::Review
        {
            return Err(Error::new(
                ErrorKind::Settings,
                "no source of the database is set: set STAGELINK_HEROKU_PIPELINE and \
                 HEROKU_API_KEY to ask Heroku, the variables of Neon or Render, DATABASE_URL, or \
                 STAGELINK_CREDENTIALS",
            ));
        }
        if let Some(ProviderSettings::Heroku(heroku)) = &self.provider {
            heroku.app.check_for(self.stage)?;
        }
        self.server.check_for(self.stage)?;
        self.limits.check()?;
        Ok(match self.server.pooler {
            Pooler::Never => self.without_pooler(),
            Pooler::Auto | Pooler::Always => self,
        })
    }

    /// Reads the process's environment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stage`] when no stage is named, or none that exists;
    /// [`ErrorKind::Settings`] when the provider is not clear or a variable
    /// cannot be read. The message names the variable, never its value.
    pub fn from_env() -> Result<Self, Error> {
        Environment::of_process()?.settings()
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
    /// assert_eq!(settings.stage, Stage::STAGING);
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
        Environment::of_vars(vars)?.settings()
    }
}
