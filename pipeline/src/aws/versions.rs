//! New functions, new code and new versions of functions on AWS Lambda.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::aws::command::{Call, PrivateFiles, bytes_url, file_url};
use crate::aws::lambda::{FunctionConfiguration, Lambda, named};
use crate::error::{Error, ErrorKind};

/// The settings of a function that a deploy changes. `None` leaves one as it is.
#[derive(Clone, Default)]
pub(crate) struct SettingsChange {
    pub(crate) role: Option<String>,
    pub(crate) memory_mb: Option<u32>,
    pub(crate) timeout_seconds: Option<u32>,
    /// All variables, in the place of those that the function has.
    pub(crate) variables: Option<Vec<(String, SecretString)>>,
}

/// A function that does not exist yet.
#[derive(Debug)]
pub(crate) struct NewFunction<'a> {
    pub(crate) name: &'a str,
    pub(crate) architecture: &'a str,
    pub(crate) role: &'a str,
    pub(crate) zip: &'a Path,
    pub(crate) settings: &'a SettingsChange,
}

impl SettingsChange {
    /// Returns whether it changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.role.is_none()
            && self.memory_mb.is_none()
            && self.timeout_seconds.is_none()
            && self.variables.is_none()
    }

    /// Returns the values of the variables, which no message may show.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.variables.iter().flatten().map(|(_, value)| value)
    }

    /// Adds the options of a call. `files` keeps the variables as long as it lives.
    fn add_to(&self, call: Call, files: &PrivateFiles) -> Result<Call, Error> {
        let mut call = call
            .with_some("--memory-size", self.memory_mb.map(|mb| mb.to_string()))
            .with_some("--timeout", self.timeout_seconds.map(|s| s.to_string()));
        if let Some(variables) = &self.variables {
            let variables = variables.iter();
            let variables: serde_json::Map<_, _> = variables
                .map(|(name, value)| (name.clone(), value.expose_secret().into()))
                .collect();
            let text = json!({ "Variables": variables }).to_string();
            call = call.with("--environment", file_url(&files.write(text.as_bytes())?));
        }
        Ok(call)
    }
}

impl Lambda {
    /// Makes a function with its first code, and waits until it can run.
    ///
    /// # Errors
    ///
    /// The failure of the call, or the reason why it cannot run.
    pub(crate) async fn create_function(
        &self,
        new: &NewFunction<'_>,
    ) -> Result<FunctionConfiguration, Error> {
        let files = PrivateFiles::new()?;
        let call = Call::new(
            format!("make the function {}", new.name),
            "lambda",
            "create-function",
        );
        let call = call
            .with("--function-name", new.name)
            .with("--runtime", "provided.al2023")
            .with("--handler", "bootstrap")
            .with("--architectures", new.architecture)
            .with("--role", new.role)
            .with("--zip-file", bytes_url(new.zip))
            .with("--query", FunctionConfiguration::QUERY);
        let call = new.settings.add_to(call, &files)?;
        let _: FunctionConfiguration = self.command.ask(call).await?;
        self.wait_until_ready(new.name, None).await
    }

    /// Uploads new code, unless the function was changed since it was read, and waits until Lambda has
    /// taken it.
    ///
    /// # Errors
    ///
    /// The failure of the call, or the reason why Lambda cannot take it.
    pub(crate) async fn update_code(
        &self,
        function: &str,
        architecture: &str,
        zip: &Path,
        read: &FunctionConfiguration,
    ) -> Result<FunctionConfiguration, Error> {
        let call = Call::new(
            format!("upload new code of {function}"),
            "lambda",
            "update-function-code",
        );
        let call = call
            .with("--function-name", function)
            .with("--architectures", architecture)
            .with("--zip-file", bytes_url(zip))
            .with_some("--revision-id", read.revision.as_ref())
            .with("--query", FunctionConfiguration::QUERY);
        let _: FunctionConfiguration = self.command.ask(call).await?;
        self.wait_until_ready(function, None).await
    }

    /// Changes settings of a function, unless it was changed since it was read, and waits until Lambda
    /// has taken them.
    ///
    /// # Errors
    ///
    /// The failure of the call, or the reason why Lambda cannot take them.
    pub(crate) async fn update_settings(
        &self,
        function: &str,
        change: &SettingsChange,
        read: &FunctionConfiguration,
    ) -> Result<FunctionConfiguration, Error> {
        let files = PrivateFiles::new()?;
        let call = Call::new(
            format!("change settings of {function}"),
            "lambda",
            "update-function-configuration",
        );
        let call = call
            .with("--function-name", function)
            .with_some("--role", change.role.as_ref())
            .with_some("--revision-id", read.revision.as_ref())
            .with("--query", FunctionConfiguration::QUERY);
        let call = change.add_to(call, &files)?;
        let _: FunctionConfiguration = self.command.ask(call).await?;
        self.wait_until_ready(function, None).await
    }

    /// Publishes the code and settings of a function as a version, unless they were changed since they
    /// were read, and waits until it can run. Where nothing has changed since the newest version, that
    /// one is it.
    ///
    /// # Errors
    ///
    /// The failure of the call, or the reason why the version cannot run.
    pub(crate) async fn publish(
        &self,
        function: &str,
        read: &FunctionConfiguration,
        description: &str,
    ) -> Result<FunctionConfiguration, Error> {
        let call = Call::new(
            format!("publish a version of {function}"),
            "lambda",
            "publish-version",
        );
        let call = call
            .with("--function-name", function)
            .with("--code-sha256", &read.sha256)
            .with_some("--revision-id", read.revision.as_ref())
            .with("--description", description)
            .with("--query", FunctionConfiguration::QUERY);
        let published: FunctionConfiguration = self.command.ask(call).await?;
        let version = published.version;
        self.wait_until_ready(function, Some(&version)).await
    }

    /// Waits until a function, or a version of it, can run.
    async fn wait_until_ready(
        &self,
        function: &str,
        qualifier: Option<&str>,
    ) -> Result<FunctionConfiguration, Error> {
        let of = named(function, qualifier);
        let failed = |kind, reason: &str| {
            let message = format!("{of} is not ready: {reason}");
            Error::new(kind, message)
        };
        for _ in 0..MOST_QUESTIONS {
            let Some(found) = self.configuration(function, qualifier).await? else {
                return Err(failed(ErrorKind::Refused, "Lambda says that it is gone"));
            };
            match found.is_ready() {
                Ok(true) => return Ok(found),
                Ok(false) => tokio::time::sleep(PAUSE).await,
                Err(reason) => {
                    let reason = self.command.without_secrets(&reason);
                    return Err(failed(ErrorKind::Refused, &reason));
                }
            }
        }
        Err(failed(
            ErrorKind::Unavailable,
            "Lambda still prepares it after five minutes: run the command again",
        ))
    }
}

impl fmt::Debug for SettingsChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.variables.as_ref().map(|variables| {
            let names = variables.iter().map(|(name, _)| name.as_str());
            names.collect::<Vec<_>>()
        });
        f.debug_struct("SettingsChange")
            .field("role", &self.role)
            .field("memory_mb", &self.memory_mb)
            .field("timeout_seconds", &self.timeout_seconds)
            .field("variables", &names)
            .finish()
    }
}

/// An upload of some megabytes takes Lambda a few seconds.
const PAUSE: Duration = Duration::from_secs(1);

/// With the time of the questions, some five minutes.
const MOST_QUESTIONS: usize = 200;
