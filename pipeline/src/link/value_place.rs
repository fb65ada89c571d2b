//! The place of a value among the variables of a site and its account, and the advice that removes
//! it there.

use std::fmt;

use crate::netlify::{DeployContext, Variable};

/// The place of a value: a variable of the site or of its account, and the context whose value it
/// is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValuePlace {
    pub(super) variable: String,
    /// The context whose value it is, which others may have too.
    pub(super) context: DeployContext,
    /// True if the variable is the account's and not the site's own.
    pub(super) is_of_account: bool,
    neighbors: Neighbors,
}

/// The other values of the variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Neighbors {
    None,
    /// Values of single contexts alone.
    OfContexts,
    /// The value of all contexts among them.
    OfAll,
}

impl ValuePlace {
    /// The place of the value that a variable has for exactly this context.
    pub(crate) fn new(variable: &Variable, context: &DeployContext, is_of_account: bool) -> Self {
        let others = variable.values.iter().filter(|of| of.context != *context);
        let neighbors = others.fold(Neighbors::None, |found, other| {
            match (found, &other.context) {
                (_, DeployContext::All) | (Neighbors::OfAll, _) => Neighbors::OfAll,
                _ => Neighbors::OfContexts,
            }
        });
        Self {
            variable: variable.key.clone(),
            context: context.clone(),
            is_of_account,
            neighbors,
        }
    }

    /// Advice to remove this value and no other, in the imperative.
    ///
    /// By netlify-cli 27.10.2: `env:unset` changes a site's own variables, never the account's;
    /// with `--context` it removes the value for all contexts too, and `--context all` sets it for
    /// each of the other contexts where it removes it.
    pub(crate) fn removal(&self) -> String {
        let Self {
            variable, context, ..
        } = self;
        if self.is_of_account {
            return format!(
                "remove {variable} from the account's environment variables on Netlify's page, or \
                 give the site a variable of that name, which takes precedence"
            );
        }
        let is_word = |text: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
            text.chars().all(is_plain)
        };
        let has_command = is_word(variable) && is_word(&context.to_string());
        match self.neighbors {
            Neighbors::None if has_command => {
                format!("remove {variable} with `netlify env:unset {variable}`")
            }
            Neighbors::OfContexts if has_command && *context != DeployContext::All => {
                format!("remove that value with `netlify env:unset {variable} --context {context}`")
            }
            _ => format!(
                "remove the value of {variable} for the context {context} on Netlify's page of the \
                 site's environment variables (`netlify env:unset` would change its other values \
                 too)"
            ),
        }
    }
}

impl fmt::Display for ValuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = match self.is_of_account {
            true => "account",
            false => "site",
        };
        let (variable, context) = (&self.variable, &self.context);
        write!(f, "{variable} of the {owner} for the context {context}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlify::VariableValue;

    use DeployContext::{All, Branch, DeployPreview, Production};

    fn removal(contexts: &[DeployContext], is_of_account: bool) -> String {
        let values = contexts.iter().map(|context| VariableValue {
            id: None,
            context: context.clone(),
            text: None,
        });
        let variable = Variable {
            key: "KEY".to_owned(),
            scopes: Vec::new(),
            is_secret: false,
            updated_at: None,
            values: values.collect(),
        };
        ValuePlace::new(&variable, &contexts[0], is_of_account).removal()
    }

    #[test]
    fn command_is_advised_only_where_it_removes_this_value_alone() {
        for (contexts, expected) in [
            (&[All][..], "`netlify env:unset KEY`"),
            (&[Production], "`netlify env:unset KEY`"),
            (
                &[DeployPreview, Production],
                "`netlify env:unset KEY --context deploy-preview`",
            ),
            (
                &[Branch("a/b".to_owned()), DeployPreview],
                "`netlify env:unset KEY --context branch:a/b`",
            ),
            (&[DeployPreview, Production, All], "on Netlify's page"),
            (&[All, Production], "on Netlify's page"),
            (&[Branch("a b".to_owned())], "on Netlify's page"),
        ] {
            let advice = removal(contexts, false);
            assert!(advice.contains(expected), "{contexts:?}: {advice}");
            let advice = removal(contexts, true);
            assert!(advice.contains("the account's environment variables"));
            assert!(!advice.contains("env:unset"), "{advice}");
        }
    }
}
