//! The request bodies of environment variables.

use serde::Deserialize;

use super::api_error::ApiError;
use super::context::Context;
use super::env_vars::{EnvScope, EnvVar};

/// Body of a request that creates or replaces a variable.
#[derive(Deserialize)]
pub(super) struct EnvVarBody {
    pub(super) key: Option<String>,
    scopes: Option<Vec<String>>,
    values: Option<Vec<ValueBody>>,
    is_secret: Option<bool>,
}

/// Body of a request that sets one value, and a value of an [`EnvVarBody`].
#[derive(Deserialize)]
pub(super) struct ValueBody {
    value: Option<String>,
    context: Option<String>,
    context_parameter: Option<String>,
}

impl EnvVarBody {
    /// Returns the variable. Fields that the request omits are taken from `current`.
    pub(super) fn into_variable(
        self,
        key: &str,
        current: Option<&EnvVar>,
    ) -> Result<EnvVar, ApiError> {
        let mut variable = EnvVar::new(key);
        variable.secret = self
            .is_secret
            .unwrap_or_else(|| current.is_some_and(EnvVar::is_secret));
        match (self.scopes, current) {
            (Some(scopes), _) => {
                let scopes = scopes.iter().map(|name| {
                    EnvScope::parse(name)
                        .ok_or_else(|| ApiError::invalid(format!("there is no scope {name:?}")))
                });
                variable.scopes = scopes.collect::<Result<_, _>>()?;
            }
            (None, Some(current)) => variable.scopes = current.scopes.clone(),
            (None, None) if variable.secret => variable = variable.secret(),
            (None, None) => {}
        }
        for body in self.values.unwrap_or_default() {
            let (context, value) = body.parse()?;
            if variable.value_for(&context).is_some() {
                return Err(ApiError::invalid(format!(
                    "{key} has two values for the context {context}"
                )));
            }
            variable.set(context, value);
        }
        Ok(variable)
    }
}

impl ValueBody {
    /// Returns the context and the value.
    pub(super) fn parse(self) -> Result<(Context, String), ApiError> {
        let name = self.context.as_deref().unwrap_or("all");
        let context = Context::parse(name, self.context_parameter.as_deref()).ok_or_else(|| {
            ApiError::invalid(format!(
                "there is no context {name:?}; the context branch needs a context_parameter"
            ))
        })?;
        let value = self
            .value
            .ok_or_else(|| ApiError::invalid(format!("the value for {context} is missing")))?;
        Ok((context, value))
    }
}
