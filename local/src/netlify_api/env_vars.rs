//! Environment variables: values by context, scopes, and the rules for valid variables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::api_error::ApiError;
use super::context::Context;
use crate::{Error, ErrorKind};

/// An environment variable of a site or of the account.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvVar {
    key: String,
    pub(super) scopes: BTreeSet<EnvScope>,
    values: Vec<Value>,
    pub(super) secret: bool,
    updated_at: Timestamp,
}

/// The code that gets a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EnvScope {
    /// The site's build.
    Builds,
    /// The functions, while they run.
    Functions,
    /// Other features at run time, such as forms.
    Runtime,
    /// Netlify's post-processing of a deploy's files, such as snippets.
    PostProcessing,
}

#[derive(Clone, PartialEq, Eq)]
struct Value {
    id: Uuid,
    context: Context,
    value: String,
}

/// The variables of a site or of the account.
#[derive(Default)]
pub(super) struct EnvVars(Vec<EnvVar>);

impl EnvVar {
    /// Creates a variable with all scopes and without a value, which is not a secret.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            scopes: EnvScope::ALL.into(),
            values: Vec::new(),
            secret: false,
            updated_at: Timestamp::now(),
        }
    }

    /// Sets the value for a context.
    #[must_use]
    pub fn value(mut self, context: Context, value: impl Into<String>) -> Self {
        self.set(context, value.into());
        self
    }

    /// Sets the scopes.
    #[must_use]
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = EnvScope>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// Makes it a secret: the API masks its values, and it does not have the scope of
    /// post-processing.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self.scopes.remove(&EnvScope::PostProcessing);
        self
    }

    /// Name of the variable.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns whether it is a secret.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// Returns whether code of this scope gets it.
    pub fn has_scope(&self, scope: EnvScope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Returns the values in the order in which they were set first, each with its context.
    pub fn values(&self) -> impl Iterator<Item = (&Context, &str)> {
        let values = self.values.iter();
        values.map(|value| (&value.context, value.value.as_str()))
    }

    /// Returns the value that was set for exactly this context.
    pub fn value_for(&self, context: &Context) -> Option<&str> {
        self.values
            .iter()
            .find(|value| value.context == *context)
            .map(|value| value.value.as_str())
    }

    /// Returns the value that applies in a context: that of the context with the highest
    /// precedence.
    pub fn value_in(&self, context: &Context) -> Option<&str> {
        let contexts = context.by_precedence();
        contexts.iter().find_map(|context| self.value_for(context))
    }

    pub(super) fn set(&mut self, context: Context, value: String) {
        self.updated_at = Timestamp::now();
        match self.values.iter_mut().find(|it| it.context == context) {
            Some(current) => current.value = value,
            None => self.values.push(Value {
                id: Uuid::new_v4(),
                context,
                value,
            }),
        }
    }

    /// Checks that Netlify would accept the variable. The error contains no value.
    pub(super) fn check(&self, scopes_available: bool) -> Result<(), ApiError> {
        let key = &self.key;
        let mut letters = key.chars();
        let valid = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            return Err(ApiError::invalid(format!(
                "{key:?} is not a valid key: it begins with a letter and has letters, digits and _"
            )));
        }
        let all_scopes = EnvScope::ALL
            .into_iter()
            .filter(|scope| !self.secret || *scope != EnvScope::PostProcessing);
        if self.scopes.is_empty() {
            return Err(ApiError::invalid(format!("{key} has no scope")));
        }
        if !scopes_available && self.scopes != all_scopes.collect() {
            return Err(ApiError::invalid(format!(
                "{key} has specific scopes, which this plan does not support"
            )));
        }
        if self.secret && self.has_scope(EnvScope::PostProcessing) {
            return Err(ApiError::invalid(format!(
                "{key} is a secret, which cannot have the scope post-processing"
            )));
        }
        if self.secret && self.value_for(&Context::All).is_some() {
            return Err(ApiError::invalid(format!(
                "{key} is a secret, which cannot have a value for all contexts"
            )));
        }
        Ok(())
    }

    /// Returns the API's JSON with the values of the selected contexts. A secret's values are
    /// masked, except those for a developer's machine.
    pub(super) fn json(&self, is_selected: impl Fn(&Context) -> bool) -> Json {
        let values: Vec<_> = self
            .values
            .iter()
            .filter(|value| is_selected(&value.context))
            .map(|value| value.json(self.secret && value.context != Context::Dev))
            .collect();
        let scopes: Vec<_> = self.scopes.iter().map(|scope| scope.name()).collect();
        json!({
            "key": self.key,
            "scopes": scopes,
            "values": values,
            "is_secret": self.secret,
            "updated_at": self.updated_at.to_string(),
        })
    }
}

impl EnvVar {
    /// Removes a value by its id. Returns false if it does not exist.
    pub(super) fn remove_value(&mut self, id: &str) -> bool {
        let before = self.values.len();
        self.values.retain(|value| value.id.to_string() != id);
        self.values.len() < before
    }
}

impl fmt::Debug for EnvVar {
    /// Shows the contexts and not the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contexts: Vec<_> = self.values.iter().map(|value| &value.context).collect();
        f.debug_struct("EnvVar")
            .field("key", &self.key)
            .field("scopes", &self.scopes)
            .field("contexts", &contexts)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

impl Value {
    fn json(&self, masked: bool) -> Json {
        let value = if masked { MASK } else { &self.value };
        let mut json = json!({"id": self.id, "value": value, "context": self.context.name()});
        if let Some(parameter) = self.context.parameter() {
            json["context_parameter"] = json!(parameter);
        }
        json
    }
}

impl EnvScope {
    const ALL: [Self; 4] = [
        Self::Builds,
        Self::Functions,
        Self::Runtime,
        Self::PostProcessing,
    ];

    /// Parses Netlify's name of a scope. The open-api has `post-processing`; the API and the CLI
    /// use `post_processing`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Builds => "builds",
            Self::Functions => "functions",
            Self::Runtime => "runtime",
            Self::PostProcessing => "post_processing",
        }
    }
}

impl EnvVars {
    pub(super) fn list(&self) -> &[EnvVar] {
        &self.0
    }

    pub(super) fn find(&mut self, key: &str) -> Option<&mut EnvVar> {
        self.0.iter_mut().find(|variable| variable.key == key)
    }

    /// Replaces the variable with the same key, or adds the variable.
    pub(super) fn set(&mut self, variable: EnvVar) {
        match self.find(&variable.key) {
            Some(current) => *current = variable,
            None => self.0.push(variable),
        }
    }

    /// Removes a variable. Returns false if it does not exist.
    pub(super) fn remove(&mut self, key: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|variable| variable.key != key);
        self.0.len() < before
    }

    /// Returns the environment of code of this scope in a context.
    pub(super) fn environment(
        &self,
        context: &Context,
        scope: EnvScope,
    ) -> BTreeMap<String, String> {
        self.0
            .iter()
            .filter(|variable| variable.has_scope(scope))
            .filter_map(|variable| {
                let value = variable.value_in(context)?;
                Some((variable.key.clone(), value.to_owned()))
            })
            .collect()
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        let message = format!("could not set the variable: {}", error.message());
        Self::new(ErrorKind::Input, message)
    }
}

/// Mask of a secret's value. Netlify's own mask is not verified (2026-11).
const MASK: &str = "****************";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_in_a_context_is_that_of_highest_precedence() {
        let branch = |name: &str| Context::Branch(name.to_owned());
        let variable = EnvVar::new("STAGE")
            .value(Context::All, "all")
            .value(Context::BranchDeploy, "some branch")
            .value(branch("staging"), "staging")
            .value(Context::Production, "production");
        for (context, expected) in [
            (branch("staging"), "staging"),
            (branch("other"), "some branch"),
            (Context::Production, "production"),
            (Context::DeployPreview, "all"),
        ] {
            assert_eq!(variable.value_in(&context), Some(expected), "{context}");
        }
        let alone = EnvVar::new("STAGE").value(Context::Production, "production");
        assert_eq!(alone.value_in(&branch("staging")), None);
    }

    #[test]
    fn secret_is_masked_in_json_and_debug() {
        let secret = EnvVar::new("TOKEN")
            .value(Context::Production, "canary")
            .value(Context::Dev, "mine")
            .secret();
        let json = secret.json(|_| true).to_string();
        assert!(!json.contains("canary") && json.contains("mine"), "{json}");
        assert!(!format!("{secret:?}").contains("canary"));
    }

    #[test]
    fn invalid_variable_is_refused_without_its_value() {
        let valid = || EnvVar::new("A_1").value(Context::Production, "canary");
        assert!(valid().check(false).is_ok() && valid().secret().check(false).is_ok());
        let scoped = valid().scopes([EnvScope::Functions]);
        assert!(scoped.check(true).is_ok());
        let mut post_processed = valid().secret();
        post_processed.scopes.insert(EnvScope::PostProcessing);
        for (variable, scopes) in [
            (scoped, false),
            (valid().scopes([]), true),
            (valid().value(Context::All, "canary").secret(), true),
            (post_processed, true),
            (EnvVar::new("1A"), true),
            (EnvVar::new("A-B"), true),
            (EnvVar::new(""), true),
        ] {
            let error = variable.check(scopes).expect_err("an error");
            assert!(!error.message().contains("canary"));
        }
    }
}
