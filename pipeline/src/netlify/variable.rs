//! Environment variables of a site, as Netlify's API returns them.

use secrecy::SecretString;
use serde::Deserialize;

use crate::netlify::context::DeployContext;

/// An environment variable with a value for each deploy context that has one of its own.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) key: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) is_secret: bool,
    /// When one of its values was last changed, in the format of RFC 3339.
    pub(crate) updated_at: Option<String>,
    pub(crate) values: Vec<VariableValue>,
}

/// A variable's value for one context.
#[derive(Clone, Debug)]
pub(crate) struct VariableValue {
    pub(crate) id: Option<String>,
    pub(crate) context: DeployContext,
    /// `None` for a secret, which the API masks.
    pub(crate) text: Option<SecretString>,
}

impl Variable {
    /// The value for exactly this context.
    pub(crate) fn value_for(&self, context: &DeployContext) -> Option<&VariableValue> {
        self.values.iter().find(|value| value.context == *context)
    }

    /// The value that applies in a context.
    pub(crate) fn value_in(&self, context: &DeployContext) -> Option<&VariableValue> {
        let near = context.closest_first();
        near.iter().find_map(|context| self.value_for(context))
    }
}

/// A variable in the API's JSON. Each member but the key may be `null` or missing.
#[derive(Deserialize)]
pub(crate) struct VariableJson {
    key: String,
    scopes: Option<Vec<String>>,
    is_secret: Option<bool>,
    updated_at: Option<String>,
    values: Option<Vec<ValueJson>>,
}

#[derive(Deserialize)]
struct ValueJson {
    id: Option<String>,
    context: Option<String>,
    context_parameter: Option<String>,
    value: Option<SecretString>,
}

impl From<VariableJson> for Variable {
    fn from(json: VariableJson) -> Self {
        let is_secret = json.is_secret.unwrap_or(false);
        let values = json
            .values
            .unwrap_or_default()
            .into_iter()
            .map(|value| VariableValue {
                id: value.id,
                context: DeployContext::parse(
                    value.context.as_deref().unwrap_or("all"),
                    value.context_parameter.as_deref(),
                ),
                text: value.value.filter(|_| !is_secret),
            });
        Self {
            values: values.collect(),
            key: json.key,
            scopes: json.scopes.unwrap_or_default(),
            is_secret,
            updated_at: json.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_not_taken_for_its_mask() {
        let json = r#"{"key":"A","is_secret":true,"scopes":["functions"],"values":[
            {"id":"1","context":"branch","context_parameter":"x","value":"***"}]}"#;
        let variable: Variable = serde_json::from_str::<VariableJson>(json).unwrap().into();
        let branch = DeployContext::Branch("x".to_owned());
        let value = variable.value_in(&branch).unwrap();
        assert_eq!(value.context, branch);
        assert!(value.text.is_none());
    }

    #[test]
    fn member_that_is_null_is_one_that_is_missing() {
        let read = |json: &str| Variable::from(serde_json::from_str::<VariableJson>(json).unwrap());
        let nulls = read(
            r#"{"key":"A","scopes":null,"is_secret":null,"updated_at":null,
                "values":[{"id":null,"context":null,"context_parameter":null,"value":null}]}"#,
        );
        assert_eq!((nulls.scopes.len(), nulls.is_secret), (0, false));
        assert_eq!(nulls.values[0].context, DeployContext::All);
        assert_eq!(read(r#"{"key":"A","values":null}"#).values.len(), 0);
    }
}
