//! The settings of a function, and the one place that reads them from the environment.

mod builder;
mod edit_distance;
mod names;
mod provider;
mod server;
mod source;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

#[cfg(feature = "lambda")]
use crate::credentials::deploy_time_entry;
use crate::error::{Error, ErrorKind};
use crate::log_line::show_detail;
use crate::stage::Stage;

use self::provider::ProviderVariables;
use self::server::{ServerVariables, switch};
#[cfg(feature = "lambda")]
use self::source::SourceChoice;

pub(crate) use self::source::IgnoredSource;

pub use self::builder::SettingsBuilder;
pub use self::names::ensure_known_names;
pub use self::provider::{
    HerokuApp, HerokuSettings, NeonSettings, ProviderSettings, RenderSettings,
};
pub use self::server::{Pooler, ServerPin, ServerSettings};

/// The stage of a function, and where its database comes from.
///
/// | variable | meaning | default |
/// | --- | --- | --- |
/// | `STAGELINK_STAGE` | the stage that this deploy serves: `review`, `development`, `staging` or `production` | on AWS Lambda the stage that the invoked alias is named after (see [`Databases`](crate::Databases)); else none, and every request is refused |
/// | `STAGELINK_CREDENTIALS` | the stage's credentials as they were at deploy time, as `STAGE=URL`, a secret: the provider is asked only when they have gone stale. Where the alias names the stage, one entry for each stage, with white space between | none: the provider is asked at the start |
/// | `STAGELINK_PROVIDER` | where the stage's database URL comes from: `heroku`, `neon`, `render` or `url` | the one whose variables are set, and several are an error. Beside `STAGELINK_CREDENTIALS` and in stage review only a Heroku pipeline: other sources know one database, which may be another stage's, and are ignored unless this variable names them |
/// | `STAGELINK_HEROKU_PIPELINE` | name or id of the Heroku pipeline whose app of that stage owns the database | none |
/// | `STAGELINK_HEROKU_APP` | name or id of the app: with a pipeline it picks one of several in the stage, without one it is taken as the stage's app (beside `STAGELINK_CREDENTIALS` and in stage review with `STAGELINK_PROVIDER=heroku` only). In stage review it is for pull requests that have no review app, and in a pipeline has to be in stage review or development | none |
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
/// `STAGELINK_DANGER_UNAUTHENTICATED`, `STAGELINK_POOLER`.
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
}

/// The number of connections of an instance, and the time limit of each step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections per instance. Defaults to 1: an instance of a function
    /// serves one request at a time, and databases count connections. Where Lambda lets
    /// an instance serve several at once, it says how many. 10,000 is the most.
    pub pool_size: NonZeroUsize,
    /// The time without a statement after which the server ends a session. Defaults to 60
    /// seconds: a new connection costs a few round trips, and small databases have 20
    /// connections, which frozen or dead instances would keep for hours. It takes Postgres 14 or
    /// newer, and does not apply to a pooler's sessions, nor where the database, the role or the
    /// URL sets a limit of its own.
    pub idle: Duration,
    /// The time for the provider to answer. Defaults to 4 seconds.
    pub resolve: Duration,
    /// The time for each step of opening a connection: the TCP connection with its name look-up,
    /// TLS, and the session's start. Defaults to 4 seconds: a server under many new connections
    /// is slow, and starting over would cost it more.
    pub connect: Duration,
    /// The time to wait for one of the pool's connections. Defaults to 4 seconds.
    pub wait: Duration,
    /// The time for retries, from the beginning of an outage. Defaults to 10 seconds: longer
    /// than a small database takes to restart, and shorter than people wait for a page. Work
    /// never goes on past the end of its invocation.
    pub retry: Duration,
    /// Bytes of the longest message that the server may send, such as a row. The driver reads a
    /// message into memory as a whole, and its buffer takes up to three times as much as it grows.
    /// Defaults to 64 MiB; from the environment of AWS Lambda, to an eighth of the function's
    /// memory.
    pub message_bytes: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pool_size: NonZeroUsize::MIN,
            idle: Duration::from_secs(60),
            resolve: Duration::from_secs(4),
            connect: Duration::from_secs(4),
            wait: Duration::from_secs(4),
            retry: Duration::from_secs(10),
            message_bytes: MESSAGE_BYTES,
        }
    }
}

impl Limits {
    /// Refuses a pool for which no memory is left: its places are allocated at once.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.pool_size > LARGEST_POOL {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "the pool size (STAGELINK_POOL_SIZE) is {}, and {LARGEST_POOL} connections is \
                     the most: set it to the number of requests that a process serves at a time",
                    self.pool_size
                ),
            ));
        }
        Ok(())
    }
}

/// Longest message of the server where the function's memory is not known.
const MESSAGE_BYTES: NonZeroUsize = NonZeroUsize::new(64 << 20).expect("it is above zero");

/// Returns an eighth of the memory that Lambda names, in MiB: what the driver's buffer takes at the
/// most leaves more than half of it to the function.
fn share_of_memory(mebibytes: &str) -> Option<NonZeroUsize> {
    let mebibytes: usize = mebibytes.trim().parse().ok()?;
    NonZeroUsize::new(mebibytes.checked_mul(1 << 20)? / 8)
}

/// Databases of the providers take some hundred connections, and their poolers 10,000.
const LARGEST_POOL: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is above zero");

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

    /// Starts settings for a stage without the environment.
    ///
    /// ```
    /// use stagelink::{HerokuApp, HerokuSettings, Settings, Stage};
    ///
    /// let app = HerokuApp::in_pipeline("guestbook");
    /// let settings = Settings::builder(Stage::Staging)
    ///     .provider(HerokuSettings::new(app, "token"))
    ///     .build()?;
    /// assert_eq!(settings.stage, Stage::Staging);
    /// # Ok::<(), stagelink::Error>(())
    /// ```
    pub fn builder(stage: Stage) -> SettingsBuilder {
        SettingsBuilder::new(stage)
    }

    /// Checks what holds for all settings, from the environment or built.
    fn check(self) -> Result<Self, Error> {
        if self.provider.is_none() && self.deploy_time.is_none() && self.stage != Stage::Review {
            return Err(Error::new(
                ErrorKind::Settings,
                "no source of the database is set: set STAGELINK_HEROKU_PIPELINE and \
                 HEROKU_API_KEY to ask Heroku, the variables of Neon or Render, DATABASE_URL, or \
                 STAGELINK_CREDENTIALS",
            ));
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
        Environment::of_vars(vars)?.settings()
    }
}

/// The variables of the environment, before the stage is known.
#[derive(Clone)]
pub(crate) struct Environment(Variables);

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn of_process() -> Result<Self, Error> {
        let environment = Self::of_os_vars(std::env::vars_os())?;
        // A process has one log.
        show_detail(environment.0.logs_detail()?);
        Ok(environment)
    }

    fn of_os_vars(all: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, Error> {
        let mut vars = Vec::new();
        for (name, value) in all {
            // Variables of other programs may be anything.
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => vars.push((name, value)),
                Err(_) if Variables::knows(&name) => {
                    return Err(Error::new(
                        ErrorKind::Settings,
                        format!("{name} is not text in UTF-8: set it again"),
                    ));
                }
                Err(_) => {}
            }
        }
        Self::of_vars(vars)
    }

    pub(crate) fn of_vars<N, V>(vars: impl IntoIterator<Item = (N, V)>) -> Result<Self, Error>
    where
        N: Into<String>,
        V: Into<String>,
    {
        // A variable that is set to nothing counts as not set: some consoles
        // cannot remove one.
        let set: Vec<(String, String)> = vars
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(_, value): &(String, String)| !value.trim().is_empty())
            .collect();
        names::check(set.iter().map(|(name, _)| name.as_str()))?;
        let known = set.into_iter().filter(|(name, _)| Variables::knows(name));
        envy::from_iter(known).map(Self).map_err(|error| {
            Error::with_source(ErrorKind::Settings, "could not read the environment", error)
        })
    }

    /// Returns whether it names a stage, valid or not.
    #[cfg(feature = "lambda")]
    pub(crate) fn names_stage(&self) -> bool {
        self.0.stagelink_stage.is_some()
    }

    /// Returns the settings for the stage that it names.
    pub(crate) fn settings(self) -> Result<Settings, Error> {
        let stage = self.0.stage()?;
        self.0.parse(stage, BUILT_FOR_PULL_REQUEST)
    }

    /// Returns the settings for a stage that the alias of an invocation names.
    #[cfg(feature = "lambda")]
    pub(crate) fn settings_of_alias(self, stage: Stage) -> Result<Settings, Error> {
        let mut variables = self.0;
        let deploy_time = variables.stagelink_credentials.take();
        let has_deploy_time = deploy_time.is_some();
        variables.stagelink_credentials = deploy_time
            .and_then(|deploy_time| deploy_time_entry(&deploy_time, stage).transpose())
            .transpose()?;
        if has_deploy_time
            && variables.stagelink_credentials.is_none()
            && let SourceChoice::None | SourceChoice::Ignored(_) =
                variables.provider.choose(stage, has_deploy_time)?
        {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "STAGELINK_CREDENTIALS has no entry for stage {stage}, which the invoked alias \
                     names, and no provider is configured: add {stage}=URL, or set \
                     STAGELINK_HEROKU_PIPELINE and HEROKU_API_KEY"
                ),
            ));
        }
        let settings = variables.parse(stage, BUILT_FOR_PULL_REQUEST)?;
        if let Some(provider) = &settings.provider {
            provider.tells_stages_apart(stage)?;
        }
        Ok(settings)
    }
}

/// The pull request whose preview this build is for: Netlify tells it to the build alone.
/// It comes from no client, and is no secret.
const BUILT_FOR_PULL_REQUEST: Option<&str> = option_env!("STAGELINK_BUILT_FOR_PULL_REQUEST");

/// Returns the address of the Lambda Runtime API, if a Lambda runtime started this process.
#[cfg(feature = "lambda")]
pub(crate) fn lambda_runtime_api() -> Option<String> {
    std::env::var("AWS_LAMBDA_RUNTIME_API").ok()
}

/// Returns the number of invocations that Lambda lets this process serve at a time.
#[cfg(feature = "lambda")]
pub(crate) fn lambda_concurrency() -> usize {
    let number = std::env::var("AWS_LAMBDA_MAX_CONCURRENCY").ok();
    number
        .and_then(|number| number.trim().parse().ok())
        .map_or(1, |number: usize| number.max(1))
}

/// Returns whether Lambda takes a snapshot of this process after its initialization.
#[cfg(feature = "lambda")]
pub(crate) fn has_snapstart() -> bool {
    std::env::var_os("AWS_LAMBDA_INITIALIZATION_TYPE").is_some_and(|kind| kind == "snap-start")
}

/// Returns whether paths begin without the stage of API Gateway: a variable of `lambda_http`'s.
#[cfg(feature = "lambda")]
pub(crate) fn ignores_stage_in_path() -> bool {
    std::env::var_os("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH").is_some()
}

/// The variables as they stand in the environment. All are texts here: `envy`
/// would put a number that it cannot read into its message, and a value that
/// was pasted into the wrong variable may be a secret.
#[derive(Clone, Deserialize)]
struct Variables {
    stagelink_stage: Option<String>,
    stagelink_credentials: Option<SecretString>,
    /// The former name of `STAGELINK_CREDENTIALS`.
    stagelink_sealed: Option<SecretString>,
    #[serde(flatten)]
    provider: ProviderVariables,
    #[serde(flatten)]
    server: ServerVariables,
    stagelink_pool_size: Option<String>,
    aws_lambda_max_concurrency: Option<String>,
    aws_lambda_function_memory_size: Option<String>,
    stagelink_idle_timeout_ms: Option<String>,
    stagelink_resolve_timeout_ms: Option<String>,
    stagelink_connect_timeout_ms: Option<String>,
    stagelink_wait_timeout_ms: Option<String>,
    stagelink_retry_timeout_ms: Option<String>,
    stagelink_max_message_bytes: Option<String>,
    stagelink_log_detail: Option<String>,
}

impl Variables {
    /// Returns whether the SDK reads a variable of exactly this name. `envy` itself would take any
    /// case.
    fn knows(name: &str) -> bool {
        names::is_read(name)
            || name == "AWS_LAMBDA_MAX_CONCURRENCY"
            || name == "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
            || ProviderVariables::knows(name)
            || ServerVariables::knows(name)
    }

    /// Returns whether log lines have the DETAIL of database errors.
    fn logs_detail(&self) -> Result<bool, Error> {
        let text = self.stagelink_log_detail.clone();
        switch("STAGELINK_LOG_DETAIL", text, false)
    }

    fn stage(&self) -> Result<Stage, Error> {
        let name = self.stagelink_stage.as_deref().ok_or_else(|| {
            Error::new(
                ErrorKind::Stage,
                "no stage is known: STAGELINK_STAGE is not set; set it to review, development, \
                 staging or production for each deploy context",
            )
        })?;
        name.parse()
    }

    /// `built_for` is the pull request that this was built for.
    fn parse(self, stage: Stage, built_for: Option<&str>) -> Result<Settings, Error> {
        if self.stagelink_sealed.is_some() {
            return Err(Error::new(
                ErrorKind::Settings,
                "STAGELINK_SEALED is now called STAGELINK_CREDENTIALS: set its value under the new \
                 name and remove the old variable, or run `stagelink link`, which does both",
            ));
        }
        self.logs_detail()?;
        let deploy_time = self.stagelink_credentials;
        let server = self.server.parse()?;
        let (provider, ignored_source) =
            self.provider
                .parse(stage, deploy_time.is_some(), server.pooler, built_for)?;
        let defaults = Limits::default();
        let concurrency = self.aws_lambda_max_concurrency.as_deref();
        let limits = Limits {
            pool_size: number("STAGELINK_POOL_SIZE", self.stagelink_pool_size.as_deref())?
                // Lambda's own is a number, or something that is not known here.
                .or_else(|| concurrency.and_then(|number| number.trim().parse().ok()))
                .unwrap_or(defaults.pool_size),
            idle: milliseconds(
                "STAGELINK_IDLE_TIMEOUT_MS",
                self.stagelink_idle_timeout_ms.as_deref(),
            )?
            .unwrap_or(defaults.idle),
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
            message_bytes: number(
                "STAGELINK_MAX_MESSAGE_BYTES",
                self.stagelink_max_message_bytes.as_deref(),
            )?
            .or_else(|| share_of_memory(self.aws_lambda_function_memory_size.as_deref()?))
            .unwrap_or(defaults.message_bytes),
        };
        let settings = Settings {
            stage,
            deploy_time,
            provider,
            limits,
            server,
            ignored_source,
        };
        settings.check()
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
