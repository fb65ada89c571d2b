//! The environment of the process: the one place that reads it.

use std::ffi::OsString;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::config::limits::LimitVariables;
use crate::config::provider::ProviderVariables;
use crate::config::server::{ServerVariables, pem, switch};
#[cfg(feature = "lambda")]
use crate::config::source::SourceChoice;
use crate::config::{
    HttpsSettings, IgnoredSource, Pooler, ProviderSettings, Settings, TlsLibrary, URL_VARIABLE,
    names,
};
#[cfg(feature = "lambda")]
use crate::credentials::deploy_time_entry;
use crate::error::{Error, ErrorKind};
use crate::log_line::show_detail;
#[cfg(feature = "lambda")]
use crate::self_check;
use crate::self_check::SelfCheckKey;
use crate::stage::Stage;

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

    pub(super) fn of_os_vars(
        all: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
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
        self.parse(stage, BUILT_FOR_PULL_REQUEST)
    }

    /// Returns the settings for a stage. `built_for` is the pull request that this was built for.
    pub(super) fn parse(self, stage: Stage, built_for: Option<&str>) -> Result<Settings, Error> {
        self.0.parse(stage, built_for)
    }

    /// Returns the provider that functions of a stage ask with these variables, and the source that they
    /// ignore.
    pub(super) fn choose(
        self,
        stage: Stage,
    ) -> Result<(Option<ProviderSettings>, Option<IgnoredSource>), Error> {
        let variables = self.0;
        let has_deploy_time = variables.stagelink_credentials.is_some();
        let provider = variables.provider;
        let (settings, ignored) = provider.parse(stage, has_deploy_time, Pooler::Auto, None)?;
        if let Some(ProviderSettings::Heroku(heroku)) = &settings {
            heroku.app.check_for(stage)?;
        }
        Ok((settings, ignored))
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

/// Returns the path, or the list of them, that a variable holds. An empty one counts as not set.
pub(crate) fn paths(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns the address of the Lambda Runtime API, if a Lambda runtime started this process.
#[cfg(feature = "lambda")]
pub(crate) fn lambda_runtime_api() -> Option<String> {
    std::env::var("AWS_LAMBDA_RUNTIME_API").ok()
}

/// The variables of the log.
#[cfg(feature = "lambda")]
pub(crate) struct LogVariables {
    pub(crate) filter: Option<String>,
    pub(crate) level: Option<String>,
    pub(crate) is_json: bool,
}

/// Returns the variables of the log.
#[cfg(feature = "lambda")]
pub(crate) fn log_variables() -> LogVariables {
    let format = std::env::var("AWS_LAMBDA_LOG_FORMAT");
    LogVariables {
        filter: std::env::var("RUST_LOG").ok(),
        level: std::env::var("AWS_LAMBDA_LOG_LEVEL").ok(),
        is_json: format.is_ok_and(|format| format.trim().eq_ignore_ascii_case("json")),
    }
}

/// Returns the key of this deploy's self-checks, if it has one. A malformed one is an error of the
/// settings, with which no stage has a database.
#[cfg(feature = "lambda")]
pub(crate) fn self_check_key() -> Option<SelfCheckKey> {
    let text: SecretString = std::env::var(self_check::VARIABLE).ok()?.into();
    SelfCheckKey::parse(text.expose_secret()).ok()
}

/// Returns the number of invocations that Lambda lets this process serve at a time.
#[cfg(feature = "lambda")]
pub(crate) fn lambda_concurrency() -> usize {
    let number = std::env::var("AWS_LAMBDA_MAX_CONCURRENCY").ok();
    number
        .and_then(|number| number.trim().parse().ok())
        .map_or(1, |number: usize| number.max(1))
}

/// Returns whether the local cloud asks for the phases' times. With several invocations at a time
/// their times could not be told apart.
#[cfg(feature = "lambda")]
pub(crate) fn asks_for_local_spans() -> bool {
    std::env::var_os("STAGELINK_LOCAL_SPANS").is_some_and(|value| value == "true")
        && lambda_concurrency() == 1
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
    #[serde(flatten)]
    limits: LimitVariables,
    stagelink_tls_library: Option<String>,
    stagelink_provider_root_certificates: Option<String>,
    stagelink_log_detail: Option<String>,
    stagelink_self_check_key: Option<SecretString>,
}

impl Variables {
    /// Returns whether the SDK reads a variable of exactly this name. `envy` itself would take any
    /// case.
    fn knows(name: &str) -> bool {
        names::is_read(name)
            || LimitVariables::knows(name)
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
                 staging or production for each deploy context, or to KIND/NAME for a stage with a \
                 name of its own",
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
        if let Some(key) = &self.stagelink_self_check_key {
            SelfCheckKey::parse(key.expose_secret())?;
        }
        let deploy_time = self.stagelink_credentials;
        let library = self.stagelink_tls_library.as_deref();
        let https = HttpsSettings {
            library: library.map_or(Ok(TlsLibrary::default()), str::parse)?,
            roots: self
                .stagelink_provider_root_certificates
                .map(|text| pem("STAGELINK_PROVIDER_ROOT_CERTIFICATES", text))
                .transpose()?,
        };
        let mut server = self.server.parse()?;
        server.tls_library = https.library;
        let (provider, ignored_source) =
            self.provider
                .parse(stage, deploy_time.is_some(), server.pooler, built_for)?;
        let limits = self.limits.parse()?;
        let settings = Settings {
            stage,
            deploy_time,
            provider: provider.map(|provider| provider.with_https(https)),
            limits,
            server,
            ignored_source,
            url_variable: URL_VARIABLE.into(),
        };
        settings.check()
    }
}
