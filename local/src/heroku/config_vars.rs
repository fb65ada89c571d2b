//! Config vars: `/apps/{app}/config-vars`, read and changed as a whole.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::api_error::{ApiError, json_body};
use super::shared::Shared;
use super::state::Cloud;
use super::tokens::Reach;

/// The config vars of an app. Their values are secrets, so there is no `Debug`.
#[derive(Clone, Default)]
pub(super) struct ConfigVars(pub(super) BTreeMap<String, String>);

impl ConfigVars {
    pub(super) fn json(&self) -> Value {
        json!(self.0)
    }
}

/// New values for config vars; `None` removes one.
pub(super) struct ConfigChange(BTreeMap<String, Option<String>>);

/// Why a change of config vars is refused. Names vars, never values.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A name outside of the schema's pattern `^\w+$`.
    Name(String),
    /// Vars that belong to the attachment of an add-on.
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

    fn check(&self, attached: &[String]) -> Result<(), Refusal> {
        if let Some(name) = self.0.keys().find(|name| !is_var_name(name)) {
            return Err(Refusal::Name(name.clone()));
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
            Err(Refusal::Attached(attached))
        }
    }

    /// Changes the vars and describes the release that this makes, in Heroku's words;
    /// `None` when nothing is different from before, which makes no release. That
    /// rule, and the wording for a mixed change, are not verified (2026-11).
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

impl Cloud {
    /// Changes config vars as a user may, with a release where something changed.
    pub(super) fn change_config(&mut self, app: Uuid, change: ConfigChange) -> Result<(), Refusal> {
        change.check(&self.attached_vars(app))?;
        let description = self
            .app_mut(app)
            .and_then(|app| change.apply(&mut app.config));
        if let Some(description) = description {
            self.release(app, description);
        }
        Ok(())
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Name(name) => Self::invalid_params(format!(
                "{name:?} is not a valid config var name: only letters, digits and _ are."
            )),
            // Heroku's own words.
            Refusal::Attached(names) => Self::invalid_params(format!(
                "Cannot overwrite attachment values {}.",
                names.join(", ")
            )),
        }
    }
}

impl From<Refusal> for crate::Error {
    fn from(refusal: Refusal) -> Self {
        let message = match refusal {
            Refusal::Name(name) => format!(
                "could not change the config var {name:?}: a name is made of letters, digits and _"
            ),
            Refusal::Attached(names) => format!(
                "could not change the config var {}: it belongs to the attachment of a \
                 database; change the url of the database instead",
                names.join(", ")
            ),
        };
        Self::new(crate::ErrorKind::Input, message)
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/apps/{app}/config-vars", get(read).patch(update))
}

async fn read(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(app): Path<String>,
) -> Result<Response, ApiError> {
    let cloud = shared.cloud();
    let app = cloud.reached_app(&reach, &app)?;
    Ok(json_body(&app.config.json()))
}

async fn update(
    State(shared): State<Shared>,
    Extension(reach): Extension<Reach>,
    Path(app): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let mut cloud = shared.cloud();
    let id = cloud.reached_app(&reach, &app)?.id;
    cloud.change_config(id, ConfigChange::parse(&body)?)?;
    let app = cloud.reached_app(&reach, &app)?;
    Ok(json_body(&app.config.json()))
}

fn is_var_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(body: &str) -> ConfigChange {
        ConfigChange::parse(body.as_bytes()).expect("a change")
    }

    #[test]
    fn change_sets_and_removes_and_describes_what_differs() {
        let mut vars = ConfigVars::default();
        let described = change(r#"{"B":"2","A":"1"}"#).apply(&mut vars);
        assert_eq!(described.as_deref(), Some("Set A, B config vars"));
        let described = change(r#"{"A":"1","B":null,"C":null}"#).apply(&mut vars);
        assert_eq!(described.as_deref(), Some("Remove B config vars"));
        assert_eq!(vars.json(), json!({"A": "1"}));
        assert_eq!(change(r#"{"A":"1","C":null}"#).apply(&mut vars), None);
    }

    #[test]
    fn change_with_a_bad_name_or_an_attached_var_is_refused() {
        let attached = ["DATABASE_URL".to_owned()];
        for name in ["", "A-B", "A B", "Ä"] {
            let refused = ConfigChange::set(name, "x").check(&attached);
            assert_eq!(refused, Err(Refusal::Name(name.to_owned())));
        }
        let refused = ConfigChange::unset("DATABASE_URL").check(&attached);
        assert_eq!(refused, Err(Refusal::Attached(attached.to_vec())));
        assert_eq!(ConfigChange::set("_a1", "x").check(&attached), Ok(()));
    }

    #[test]
    fn change_that_is_no_map_of_strings_is_refused_without_its_values() {
        for body in ["", "[]", "{\"A\":", r#"{"A":["canary"]}"#, r#"{"A":17}"#] {
            let error = ConfigChange::parse(body.as_bytes())
                .err()
                .expect("a refusal");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}
