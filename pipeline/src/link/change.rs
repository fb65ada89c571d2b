//! One change to a site's variables: a request to Netlify's API.

use secrecy::SecretString;

use crate::error::Error;
use crate::link::value_finding::ValueFinding;
use crate::netlify::{DeployContext, Site, Variable, VariableValue};

/// One request to Netlify's API that changes a variable of the site.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// Creates a variable that the site does not have.
    Create {
        /// The variable's name.
        key: String,
        /// True if its values are secret.
        is_secret: bool,
        /// Its values.
        values: Vec<(DeployContext, SecretString)>,
    },
    /// Replaces a variable whose scopes change, or that becomes a secret.
    Replace {
        /// The variable's name.
        key: String,
        /// True if its values become secret.
        is_secret: bool,
        /// All values, with those that stay as they are.
        values: Vec<(DeployContext, SecretString)>,
        /// The contexts whose values go.
        removed: Vec<DeployContext>,
    },
    /// Sets a variable's value for one context.
    Set {
        /// The variable's name.
        key: String,
        /// True if its values are secret.
        is_secret: bool,
        /// The context.
        context: DeployContext,
        /// The value.
        value: SecretString,
    },
    /// Removes a variable's value for one context.
    Unset {
        /// The variable's name.
        key: String,
        /// The API's id of the value.
        id: String,
        /// The context.
        context: DeployContext,
    },
}

impl Change {
    /// The removal of a value of a variable, which the API has an id for.
    pub(super) fn unset(variable: &Variable, value: &VariableValue) -> Option<Self> {
        Some(Self::Unset {
            key: variable.key.clone(),
            id: value.id.clone()?,
            context: value.context.clone(),
        })
    }

    /// The variable's name.
    pub fn key(&self) -> &str {
        match self {
            Self::Create { key, .. }
            | Self::Replace { key, .. }
            | Self::Set { key, .. }
            | Self::Unset { key, .. } => key,
        }
    }

    /// The values that the request sends, each with the context that gets it.
    pub fn sent_values(&self) -> Vec<(&DeployContext, &SecretString)> {
        match self {
            Self::Create { values, .. } | Self::Replace { values, .. } => values
                .iter()
                .map(|(context, value)| (context, value))
                .collect(),
            Self::Set { context, value, .. } => vec![(context, value)],
            Self::Unset { .. } => Vec::new(),
        }
    }

    /// The contexts that lose their value of the variable.
    pub fn removed_contexts(&self) -> &[DeployContext] {
        match self {
            Self::Replace { removed, .. } => removed,
            Self::Unset { context, .. } => std::slice::from_ref(context),
            Self::Create { .. } | Self::Set { .. } => &[],
        }
    }

    /// Leaves a leak out of the values that a replacement sends again, also in a copy of the site's
    /// variables as they are after it. Returns false where the change does not send it.
    pub(super) fn leave_out(&mut self, leak: &ValueFinding, after: &mut Vec<Variable>) -> bool {
        let Self::Replace {
            key,
            values,
            removed,
            ..
        } = self
        else {
            return false;
        };
        let before = values.len();
        if *key == leak.variable {
            values.retain(|(context, _)| *context != leak.context);
        }
        if values.len() == before {
            return false;
        }
        removed.push(leak.context.clone());
        self.apply_to(after);
        true
    }

    /// The variable's name with the contexts that the change is for, as an operator reads it.
    pub(super) fn label(&self) -> String {
        let sent = self.sent_values().into_iter().map(|(context, _)| context);
        let contexts: Vec<_> = sent
            .chain(self.removed_contexts())
            .map(ToString::to_string)
            .collect();
        format!("{} for {}", self.key(), contexts.join(" and "))
    }

    /// Makes the change at Netlify.
    pub(super) async fn apply(&self, site: &Site) -> Result<(), Error> {
        match self {
            Self::Create {
                key,
                is_secret,
                values,
            } => site.create_variable(key, *is_secret, values).await,
            Self::Replace {
                key,
                is_secret,
                values,
                ..
            } => site.replace_variable(key, *is_secret, values).await,
            Self::Set {
                key,
                context,
                value,
                ..
            } => site.set_value(key, context, value).await,
            Self::Unset { key, id, .. } => site.remove_value(key, id).await,
        }
    }

    /// Makes the change in a copy of the site's variables.
    pub(super) fn apply_to(&self, variables: &mut Vec<Variable>) {
        let found = variables.iter().position(|of| of.key == self.key());
        let found = found.unwrap_or_else(|| {
            variables.push(Variable {
                key: self.key().to_owned(),
                scopes: Vec::new(),
                is_secret: false,
                updated_at: None,
                values: Vec::new(),
            });
            variables.len() - 1
        });
        let variable = &mut variables[found];
        let removed = self.removed_contexts();
        variable.values.retain(|of| !removed.contains(&of.context));
        for (context, text) in self.sent_values() {
            variable.values.retain(|of| of.context != *context);
            variable.values.push(VariableValue {
                id: None,
                context: context.clone(),
                text: Some(text.clone()),
            });
        }
    }
}

/// The changes, one line each.
#[cfg(test)]
pub(super) fn shown(changes: &[Change]) -> Vec<String> {
    let one = |change: &Change| {
        let sent = change.sent_values().into_iter();
        let mut words: Vec<_> = sent
            .map(|(context, value)| {
                format!("{context}={}", secrecy::ExposeSecret::expose_secret(value))
            })
            .collect();
        let removed = change.removed_contexts().iter();
        words.extend(removed.map(|context| format!("-{context}")));
        let verb = match change {
            Change::Create { .. } => "create",
            Change::Replace { .. } => "replace",
            Change::Set { .. } => "set",
            Change::Unset { .. } => "unset",
        };
        format!("{verb} {}", words.join(" "))
    };
    changes.iter().map(one).collect()
}
