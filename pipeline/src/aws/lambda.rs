//! Functions, versions and aliases on AWS Lambda, and the direct call of a version.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::aws::access::{AwsAccess, AwsCaller};
use crate::aws::command::{AwsCommand, Call, PrivateFiles, bytes_url};
use crate::aws::login::log_in;
use crate::aws::refusal::{Failure, Reason};
use crate::error::{Error, ErrorKind};
use crate::fence::Fence;

/// A client of AWS Lambda in one account and region.
#[derive(Clone, Debug)]
pub(crate) struct Lambda {
    pub(super) command: AwsCommand,
    caller: AwsCaller,
}

/// The configuration of a function or of one of its versions. The values of its variables are not
/// asked for, but for that of the stage, which is no secret.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FunctionConfiguration {
    /// The number of the version, or `$LATEST`.
    pub(crate) version: String,
    /// SHA-256 of the archive, in Base64.
    pub(crate) sha256: String,
    /// The mark by which a change says what it was made from.
    pub(crate) revision: Option<String>,
    #[serde(default)]
    pub(crate) architectures: Vec<String>,
    state: Option<String>,
    state_reason: Option<String>,
    update: Option<String>,
    update_reason: Option<String>,
    /// The value of `STAGELINK_STAGE`.
    pub(crate) stage: Option<String>,
    /// The names of the variables.
    #[serde(default)]
    pub(crate) variables: Vec<String>,
}

/// An alias of a function.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Alias {
    #[serde(rename = "FunctionVersion")]
    pub(crate) version: String,
    #[serde(rename = "RevisionId")]
    pub(crate) revision: String,
    #[serde(rename = "RoutingConfig")]
    routing: Option<Routing>,
}

#[derive(Clone, Debug, Deserialize)]
struct Routing {
    #[serde(rename = "AdditionalVersionWeights", default)]
    weights: BTreeMap<String, IgnoredAny>,
}

/// The response of a direct call.
pub(crate) struct Invocation {
    pub(crate) payload: Vec<u8>,
    /// The version that was run.
    pub(crate) version: Option<String>,
}

impl Lambda {
    /// Finds the region and the account.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when no region is chosen; [`ErrorKind::Refused`] when there is no login.
    pub(crate) async fn connect(access: &AwsAccess) -> Result<Self, Error> {
        let (command, caller) = log_in(access).await?;
        Ok(Self { command, caller })
    }

    /// Asks this fence before each attempt at a change from now on, as do all copies of the client.
    pub(crate) fn set_fence(&self, fence: Arc<dyn Fence>) {
        self.command.set_fence(fence);
    }

    /// Returns the account and the region.
    pub(crate) fn caller(&self) -> &AwsCaller {
        &self.caller
    }

    /// Returns the client with secrets that no message may show: AWS repeats values that it refuses.
    pub(crate) fn hiding<'a>(&self, secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        Self {
            command: self.command.hiding(secrets),
            caller: self.caller.clone(),
        }
    }

    /// Returns the configuration of a function, or of a version of it or behind an alias. `None`
    /// where there is none.
    ///
    /// # Errors
    ///
    /// The failure of the call.
    pub(crate) async fn configuration(
        &self,
        function: &str,
        qualifier: Option<&str>,
    ) -> Result<Option<FunctionConfiguration>, Failure> {
        let action = format!("read the configuration of {}", named(function, qualifier));
        let call = Call::new(action, "lambda", "get-function-configuration")
            .with("--function-name", function)
            .with_some("--qualifier", qualifier)
            .with("--query", FunctionConfiguration::QUERY);
        found(self.command.ask(call).await)
    }

    /// Returns an alias of a function; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The failure of the call.
    pub(crate) async fn alias(
        &self,
        function: &str,
        alias: &str,
    ) -> Result<Option<Alias>, Failure> {
        let call = Call::new(
            format!("read the alias {alias} of {function}"),
            "lambda",
            "get-alias",
        );
        let call = call.with("--function-name", function).with("--name", alias);
        found(self.command.ask(call).await)
    }

    /// Makes an alias that did not exist.
    ///
    /// # Errors
    ///
    /// The failure of the call; [`Reason::Exists`] where it exists by now.
    pub(crate) async fn create_alias(
        &self,
        function: &str,
        alias: &str,
        version: &str,
    ) -> Result<Alias, Failure> {
        let action = format!("make the alias {alias} of {function}, with version {version}");
        let call = Call::new(action, "lambda", "create-alias")
            .with("--function-name", function)
            .with("--name", alias)
            .with("--function-version", version);
        self.command.ask(call).await
    }

    /// Moves an alias, with all of its requests, to a version, unless it was changed since it was read.
    ///
    /// # Errors
    ///
    /// The failure of the call; [`Reason::Changed`] where it was.
    pub(crate) async fn move_alias(
        &self,
        function: &str,
        alias: &str,
        version: &str,
        read: &Alias,
    ) -> Result<Alias, Failure> {
        let action = format!("move the alias {alias} of {function} to version {version}");
        let call = Call::new(action, "lambda", "update-alias")
            .with("--function-name", function)
            .with("--name", alias)
            .with("--function-version", version)
            .with("--routing-config", "AdditionalVersionWeights={}")
            .with("--revision-id", &read.revision);
        self.command.ask(call).await
    }

    /// Deletes an alias that an unfinished change has made.
    ///
    /// # Errors
    ///
    /// The failure of the call.
    pub(crate) async fn delete_alias(&self, function: &str, alias: &str) -> Result<(), Failure> {
        let call = Call::new(
            format!("delete the alias {alias} of {function}"),
            "lambda",
            "delete-alias",
        );
        let call = call.with("--function-name", function).with("--name", alias);
        self.command.tell(call).await
    }

    /// Calls a version, or what an alias points to, with a client context, which no URL and no API
    /// Gateway can set.
    ///
    /// # Errors
    ///
    /// The failure of the call; one of kind [`ErrorKind::Refused`] with the function's error where it failed.
    pub(crate) async fn invoke(
        &self,
        function: &str,
        qualifier: &str,
        client_context: &str,
    ) -> Result<Invocation, Failure> {
        let of = named(function, Some(qualifier));
        let files = PrivateFiles::new()?;
        let (event, response) = (files.write(b"{}")?, files.path("response"));
        let call = Call::new(format!("call {of}"), "lambda", "invoke")
            .with("--function-name", function)
            .with("--qualifier", qualifier)
            .with("--client-context", STANDARD.encode(client_context))
            .with("--payload", bytes_url(&event))
            .word(&response);
        let answer: InvokeAnswer = self.command.ask(call).await?;
        let payload = std::fs::read(&response).map_err(|error| {
            let message = format!("could not read the response of {of}");
            Error::with_source(ErrorKind::Settings, message, error)
        })?;
        match answer.error {
            None => Ok(Invocation {
                payload,
                version: answer.version,
            }),
            Some(_) => {
                let why = self.command.without_secrets(&error_of(&payload));
                Err(Error::new(ErrorKind::Refused, format!("{of} failed: {why}")).into())
            }
        }
    }
}

impl FunctionConfiguration {
    /// The parts that are asked for, so that no value of a variable leaves the command `aws`.
    pub(super) const QUERY: &str = "{version:Version,sha256:CodeSha256,revision:RevisionId,\
         architectures:Architectures,state:State,state_reason:StateReason,\
         update:LastUpdateStatus,update_reason:LastUpdateStatusReason,\
         stage:Environment.Variables.STAGELINK_STAGE,\
         variables:keys(Environment.Variables || `{}`)}";

    /// Returns whether Lambda has done all that it was told, or the reason why it cannot.
    pub(super) fn is_ready(&self) -> Result<bool, String> {
        let because = |reason: &Option<String>| {
            let reason = reason.as_deref().unwrap_or("Lambda says no reason");
            stagelink::one_line(reason).to_string()
        };
        match (self.state.as_deref(), self.update.as_deref()) {
            (Some("Failed"), _) => Err(because(&self.state_reason)),
            (_, Some("Failed")) => Err(because(&self.update_reason)),
            (Some("Pending"), _) | (_, Some("InProgress")) => Ok(false),
            _ => Ok(true),
        }
    }
}

#[cfg(test)]
impl FunctionConfiguration {
    pub(crate) fn sample(version: &str, sha256: &str) -> Self {
        let json = serde_json::json!({ "version": version, "sha256": sha256 });
        serde_json::from_value(json).unwrap()
    }
}

impl Alias {
    /// Returns whether a part of its requests goes to a second version.
    pub(crate) fn is_split(&self) -> bool {
        let routing = self.routing.as_ref();
        routing.is_some_and(|routing| !routing.weights.is_empty())
    }
}

impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct InvokeAnswer {
    #[serde(rename = "FunctionError")]
    error: Option<String>,
    #[serde(rename = "ExecutedVersion")]
    version: Option<String>,
}

/// Returns a function's own error, as the runtime reports it. It is of the function's making, and is
/// short and one line here.
fn error_of(payload: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Reported {
        #[serde(rename = "errorType")]
        kind: Option<String>,
        #[serde(rename = "errorMessage")]
        message: Option<String>,
    }
    let reported: Option<Reported> = serde_json::from_slice(payload).ok();
    let parts = reported.map(|reported| [reported.kind, reported.message]);
    let parts: Vec<_> = parts.into_iter().flatten().flatten().collect();
    match parts.is_empty() {
        true => "its log (CloudWatch) says why".to_owned(),
        false => {
            let text: String = parts.join(": ").chars().take(300).collect();
            stagelink::one_line(&text).to_string()
        }
    }
}

/// Returns `None` for a resource that does not exist.
fn found<T>(outcome: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.reason == Reason::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Returns a function's name with the version or alias.
pub(super) fn named(function: &str, qualifier: Option<&str>) -> String {
    match qualifier {
        Some(qualifier) => format!("{function}:{qualifier}"),
        None => function.to_owned(),
    }
}
