//! Environment variables: their values by context, their scopes, and what may be set.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::context::Context;
use super::refusal::Refusal;
use crate::{Error, ErrorKind};

/// An environment variable of a site or an account.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvVar {
    key: String,
    scopes: BTreeSet<EnvScope>,
    values: Vec<Value>,
    secret: bool,
    updated_at: Timestamp,
}

/// Which code gets a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EnvScope {
    /// The site's build.
    Builds,
    /// The functions, while they run.
    Functions,
    /// What is beside functions at run time, such as forms.
    Runtime,
    /// What Netlify does with a deploy's files, such as snippets.
    PostProcessing,
}

#[derive(Clone, PartialEq, Eq)]
struct Value {
    id: Uuid,
    context: Context,
    value: String,
}

/// The variables of a site, or those of the account.
#[derive(Default)]
pub(super) struct EnvVars(Vec<EnvVar>);

impl EnvVar {
    /// A variable with all scopes and no value yet, which is no secret.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            scopes: EnvScope::ALL.into(),
            values: Vec::new(),
            secret: false,
            updated_at: Timestamp::now(),
        }
    }

    /// With this value in a context, in place of the one it had there.
    #[must_use]
    pub fn value(mut self, context: Context, value: impl Into<String>) -> Self {
        self.set(context, value.into());
        self
    }

    /// With these scopes alone.
    #[must_use]
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = EnvScope>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// As a secret: nobody reads it back, and it never has the scope of post-processing.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self.scopes.remove(&EnvScope::PostProcessing);
        self
    }

    /// Its name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it is a secret.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// Whether code of this scope gets it.
    pub fn has_scope(&self, scope: EnvScope) -> bool {
        self.scopes.contains(&scope)
    }

    /// The value that was set for exactly this context.
    pub fn value_for(&self, context: &Context) -> Option<&str> {
        self.values
            .iter()
            .find(|of| of.context == *context)
            .map(|of| of.value.as_str())
    }

    /// The value that holds in a context: the closest.
    pub fn value_in(&self, context: &Context) -> Option<&str> {
        let near = context.closest_first();
        near.iter().find_map(|context| self.value_for(context))
    }

    fn set(&mut self, context: Context, value: String) {
        self.updated_at = Timestamp::now();
        match self.values.iter_mut().find(|of| of.context == context) {
            Some(of) => of.value = value,
            None => self.values.push(Value {
                id: Uuid::new_v4(),
                context,
                value,
            }),
        }
    }

    /// Whether Netlify would take it. No value is in the refusal.
    pub(super) fn check(&self, scopes_available: bool) -> Result<(), Refusal> {
        let key = &self.key;
        let mut letters = key.chars();
        let good = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !good {
            return Err(Refusal::invalid(format!(
                "{key:?} is no key: it begins with a letter, and has letters, digits and _"
            )));
        }
        let whole = EnvScope::ALL
            .into_iter()
            .filter(|scope| !self.secret || *scope != EnvScope::PostProcessing);
        if self.scopes.is_empty() {
            return Err(Refusal::invalid(format!("{key} has no scope")));
        }
        if !scopes_available && self.scopes != whole.collect() {
            return Err(Refusal::invalid(format!(
                "{key} has scopes of its own, which this plan does not have"
            )));
        }
        if self.secret && self.has_scope(EnvScope::PostProcessing) {
            return Err(Refusal::invalid(format!(
                "{key} is a secret, which the scope post-processing cannot have"
            )));
        }
        if self.secret && self.value_for(&Context::All).is_some() {
            return Err(Refusal::invalid(format!(
                "{key} is a secret, so its values are for one context each, and not for all"
            )));
        }
        Ok(())
    }

    /// As the API tells it, with the values that are wanted; a secret's are masked, save
    /// those for a developer's machine.
    pub(super) fn json(&self, wanted: impl Fn(&Context) -> bool) -> Json {
        let values: Vec<_> = self
            .values
            .iter()
            .filter(|of| wanted(&of.context))
            .map(|of| of.json(self.secret && of.context != Context::Dev))
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

impl fmt::Debug for EnvVar {
    /// Names the contexts and keeps the values to itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contexts: Vec<_> = self.values.iter().map(|of| &of.context).collect();
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

    /// The scope by Netlify's name: the open-api writes `post-processing`, and the API
    /// and the CLI write `post_processing`.
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
        self.0.iter_mut().find(|of| of.key == key)
    }

    /// Puts a variable in the place of the one with its key, or at the end.
    pub(super) fn set(&mut self, variable: EnvVar) {
        match self.find(&variable.key) {
            Some(of) => *of = variable,
            None => self.0.push(variable),
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|of| of.key != key);
        self.0.len() < before
    }

    /// What code of this scope gets in a context.
    pub(super) fn environment(
        &self,
        context: &Context,
        scope: EnvScope,
    ) -> BTreeMap<String, String> {
        self.0
            .iter()
            .filter(|of| of.has_scope(scope))
            .filter_map(|of| Some((of.key.clone(), of.value_in(context)?.to_owned())))
            .collect()
    }
}

/// A variable as a request writes it.
#[derive(Deserialize)]
pub(super) struct Written {
    pub(super) key: Option<String>,
    scopes: Option<Vec<String>>,
    values: Option<Vec<WrittenValue>>,
    is_secret: Option<bool>,
}

/// A value as a request writes it.
#[derive(Deserialize)]
pub(super) struct WrittenValue {
    value: Option<String>,
    context: Option<String>,
    context_parameter: Option<String>,
}

impl Written {
    /// The variable, which has all that a request may leave out from `before`.
    pub(super) fn variable(self, key: &str, before: Option<&EnvVar>) -> Result<EnvVar, Refusal> {
        let mut variable = EnvVar::new(key);
        variable.secret = self
            .is_secret
            .unwrap_or_else(|| before.is_some_and(EnvVar::is_secret));
        match (self.scopes, before) {
            (Some(scopes), _) => {
                let scopes = scopes.iter().map(|name| {
                    EnvScope::parse(name)
                        .ok_or_else(|| Refusal::invalid(format!("there is no scope {name:?}")))
                });
                variable.scopes = scopes.collect::<Result<_, _>>()?;
            }
            (None, Some(before)) => variable.scopes = before.scopes.clone(),
            (None, None) if variable.secret => variable = variable.secret(),
            (None, None) => {}
        }
        for written in self.values.unwrap_or_default() {
            let (context, value) = written.read()?;
            if variable.value_for(&context).is_some() {
                return Err(Refusal::invalid(format!(
                    "{key} has two values for the context {context}"
                )));
            }
            variable.set(context, value);
        }
        Ok(variable)
    }
}

impl WrittenValue {
    fn read(self) -> Result<(Context, String), Refusal> {
        let name = self.context.as_deref().unwrap_or("all");
        let context = Context::parse(name, self.context_parameter.as_deref()).ok_or_else(|| {
            Refusal::invalid(format!(
                "there is no context {name:?}; branch needs a context_parameter"
            ))
        })?;
        let value = self
            .value
            .ok_or_else(|| Refusal::invalid(format!("the value for {context} is missing")))?;
        Ok((context, value))
    }
}

impl EnvVar {
    /// With one value more, or another one.
    pub(super) fn changed(&self, written: WrittenValue) -> Result<Self, Refusal> {
        let (context, value) = written.read()?;
        Ok(self.clone().value(context, value))
    }

    /// Takes one value away; false when it is not there.
    pub(super) fn remove_value(&mut self, id: &str) -> bool {
        let before = self.values.len();
        self.values.retain(|of| of.id.to_string() != id);
        self.values.len() < before
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let message = format!("could not set the variable: {}", refusal.message());
        Self::new(ErrorKind::Input, message)
    }
}

/// What is shown of a secret. Netlify's own mask is not verified (2026-11).
const MASK: &str = "****************";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_in_a_context_is_the_closest_one() {
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
    fn secret_is_masked_and_in_no_debug() {
        let secret = EnvVar::new("TOKEN")
            .value(Context::Production, "canary")
            .value(Context::Dev, "mine")
            .secret();
        let json = secret.json(|_| true).to_string();
        assert!(!json.contains("canary") && json.contains("mine"), "{json}");
        assert!(!format!("{secret:?}").contains("canary"));
    }

    #[test]
    fn variable_that_cannot_be_is_refused_without_its_value() {
        let good = || EnvVar::new("A_1").value(Context::Production, "canary");
        assert!(good().check(false).is_ok() && good().secret().check(false).is_ok());
        let scoped = good().scopes([EnvScope::Functions]);
        assert!(scoped.check(true).is_ok());
        let mut shown = good().secret();
        shown.scopes.insert(EnvScope::PostProcessing);
        for (variable, scopes) in [
            (scoped, false),
            (good().scopes([]), true),
            (good().value(Context::All, "canary").secret(), true),
            (shown, true),
            (EnvVar::new("1A"), true),
            (EnvVar::new("A-B"), true),
            (EnvVar::new(""), true),
        ] {
            let refusal = variable.check(scopes).expect_err("a refusal");
            assert!(!refusal.message().contains("canary"));
        }
    }
}
