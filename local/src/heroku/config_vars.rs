//! Config vars: `/apps/{app}/config-vars`, which reads and changes them together.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::account::Account;
use super::api_error::{ApiError, json_body};
use super::app_state::AppState;
use super::records::ConfigVars;
use super::tokens::TokenScope;

/// A change of config vars. A var with `None` is removed.
pub(super) struct ConfigChange(BTreeMap<String, Option<String>>);

/// The reason for refusing a change of config vars. It names vars, never values.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConfigError {
    /// The name does not match the schema's pattern `^\w+$`.
    InvalidName(String),
    /// The vars belong to attachments.
    Attached(Vec<String>),
}

impl ConfigChange {
    pub(super) fn set(name: &str, value: &str) -> Self {
        Self([(name.to_owned(), Some(value.to_owned()))].into())
    }

    pub(super) fn unset(name: &str) -> Self {
        Self([(name.to_owned(), None)].into())
    }

    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let body: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| ApiError::bad_request("The body must be a JSON object."))?;
        body.into_iter()
            .map(|(name, value)| match value {
                Value::Null => Ok((name, None)),
                Value::String(value) => Ok((name, Some(value))),
                _ => Err(ApiError::invalid_params(format!(
                    "The value of {name} must be a string or null."
                ))),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn check(&self, attached: &[String]) -> Result<(), ConfigError> {
        if let Some(name) = self.0.keys().find(|name| !is_valid_var_name(name)) {
            return Err(ConfigError::InvalidName(name.clone()));
        }
        let attached: Vec<_> = self
            .0
            .keys()
            .filter(|name| attached.contains(name))
            .cloned()
            .collect();
        if attached.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Attached(attached))
        }
    }

    /// Changes the vars and returns the description of the release, in Heroku's words. Returns
    /// `None` if no value changed, which creates no release. That rule, and the text for setting
    /// and removing at once, are not verified (2026-11).
    fn apply(self, vars: &mut ConfigVars) -> Option<String> {
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for (name, value) in self.0 {
            match value {
                None => {
                    if vars.0.remove(&name).is_some() {
                        removed.push(name);
                    }
                }
                Some(value) => {
                    if vars.0.get(&name) != Some(&value) {
                        vars.0.insert(name.clone(), value);
                        set.push(name);
                    }
                }
            }
        }
        let parts: Vec<_> = [("Set", set), ("Remove", removed)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(verb, names)| format!("{verb} {} config vars", names.join(", ")))
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl Account {
    /// Changes config vars as a user may, with a release if a value changed.
    pub(super) fn change_config(
        &mut self,
        app: Uuid,
        change: ConfigChange,
    ) -> Result<(), ConfigError> {
        change.check(&self.attached_vars(app))?;
        let description = self
            .app_mut(app)
            .and_then(|app| change.apply(&mut app.config));
        if let Some(description) = description {
            self.create_release(app, description);
        }
        Ok(())
    }
}

impl From<ConfigError> for ApiError {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::InvalidName(name) => Self::invalid_params(format!(
                "{name:?} is not a valid config var name: use letters, digits and _ only."
            )),
            // Heroku's own message.
            ConfigError::Attached(names) => Self::invalid_params(format!(
                "Cannot overwrite attachment values {}.",
                names.join(", ")
            )),
        }
    }
}

impl From<ConfigError> for crate::Error {
    fn from(error: ConfigError) -> Self {
        let message = match error {
            ConfigError::InvalidName(name) => format!(
                "could not change the config var {name:?}: a name consists of letters, digits and _"
            ),
            ConfigError::Attached(names) => format!(
                "could not change the config var {}: it belongs to the attachment of a \
                 database; change the url of the database instead",
                names.join(", ")
            ),
        };
        Self::new(crate::ErrorKind::Input, message)
    }
}

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/apps/{app}/config-vars", get(read).patch(update))
}

async fn read(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(app): Path<String>,
) -> Result<Response, ApiError> {
    let account = state.account();
    let app = account.authorized_app(&scope, &app)?;
    Ok(json_body(&app.config.json()))
}

async fn update(
    State(state): State<AppState>,
    Extension(scope): Extension<TokenScope>,
    Path(app): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let mut account = state.account();
    let id = account.authorized_app(&scope, &app)?.id;
    account.change_config(id, ConfigChange::parse(&body)?)?;
    let app = account.authorized_app(&scope, &app)?;
    Ok(json_body(&app.config.json()))
}

fn is_valid_var_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(body: &str) -> ConfigChange {
        ConfigChange::parse(body.as_bytes()).expect("a change")
    }

    #[test]
    fn change_sets_removes_and_describes_the_difference() {
        let mut vars = ConfigVars::default();
        let described = change(r#"{"B":"2","A":"1"}"#).apply(&mut vars);
        assert_eq!(described.as_deref(), Some("Set A, B config vars"));
        let described = change(r#"{"A":"1","B":null,"C":null}"#).apply(&mut vars);
        assert_eq!(described.as_deref(), Some("Remove B config vars"));
        assert_eq!(vars.json(), json!({"A": "1"}));
        assert_eq!(change(r#"{"A":"1","C":null}"#).apply(&mut vars), None);
    }

    #[test]
    fn change_of_an_invalid_name_or_an_attached_var_is_refused() {
        let attached = ["DATABASE_URL".to_owned()];
        for name in ["", "A-B", "A B", "Ä"] {
            let refused = ConfigChange::set(name, "x").check(&attached);
            assert_eq!(refused, Err(ConfigError::InvalidName(name.to_owned())));
        }
        let refused = ConfigChange::unset("DATABASE_URL").check(&attached);
        assert_eq!(refused, Err(ConfigError::Attached(attached.to_vec())));
        assert_eq!(ConfigChange::set("_a1", "x").check(&attached), Ok(()));
    }

    #[test]
    fn change_that_is_not_a_map_of_strings_is_refused_without_its_values() {
        for body in ["", "[]", "{\"A\":", r#"{"A":["canary"]}"#, r#"{"A":17}"#] {
            let error = ConfigChange::parse(body.as_bytes())
                .err()
                .expect("an error");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}
