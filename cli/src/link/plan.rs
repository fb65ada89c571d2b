//! What has to change on a site, given what it has and what it should have: pure.

use anyhow::bail;
use secrecy::{ExposeSecret, SecretString};

use super::context::Context;
use super::netlify::{FUNCTIONS, Value, Variable};

/// What a variable should be like in the contexts that are linked. Other contexts are not
/// spoken of.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) key: &'static str,
    pub(crate) is_secret: bool,
    pub(crate) values: Vec<(Context, SecretString)>,
    /// The contexts in which it must have no value of its own.
    pub(crate) absent: Vec<Context>,
}

/// One call to the API.
#[derive(Debug)]
pub(crate) enum Change {
    /// A variable that the site does not have.
    Create {
        key: String,
        is_secret: bool,
        values: Vec<(Context, SecretString)>,
    },
    /// A variable whose scopes change, or that becomes a secret: with all values that stay.
    Replace {
        key: String,
        is_secret: bool,
        values: Vec<(Context, SecretString)>,
    },
    /// One value of a variable.
    Set {
        key: String,
        is_secret: bool,
        context: Context,
        value: SecretString,
    },
    /// A value that goes.
    Unset {
        key: String,
        id: String,
        context: Context,
    },
}

impl Change {
    /// The variable.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Create { key, .. }
            | Self::Replace { key, .. }
            | Self::Set { key, .. }
            | Self::Unset { key, .. } => key,
        }
    }

    /// All that it sends, with the contexts that get it.
    pub(crate) fn sends(&self) -> Vec<(&Context, &SecretString)> {
        match self {
            Self::Create { values, .. } | Self::Replace { values, .. } => values
                .iter()
                .map(|(context, value)| (context, value))
                .collect(),
            Self::Set { context, value, .. } => vec![(context, value)],
            Self::Unset { .. } => Vec::new(),
        }
    }
}

/// The changes to one variable, in the order in which they are made. Values of other contexts
/// stay as they are.
///
/// # Errors
///
/// When a value would have to be sent again that is a secret and so cannot be read.
pub(crate) fn changes(
    has: Option<&Variable>,
    wanted: &Wanted,
    scopes: bool,
) -> anyhow::Result<Vec<Change>> {
    let key = wanted.key.to_owned();
    let Some(has) = has else {
        return Ok(match wanted.values.is_empty() {
            true => Vec::new(),
            false => vec![Change::Create {
                key,
                is_secret: wanted.is_secret,
                values: wanted.values.clone(),
            }],
        });
    };
    let is_wanted = |value: &&Value| wanted.values.iter().any(|(of, _)| *of == value.context);
    let goes = |value: &&Value| wanted.absent.contains(&value.context);
    let has_right_scopes = !scopes || has.scopes == [FUNCTIONS];
    if !wanted.values.is_empty() && (!has_right_scopes || has.is_secret != wanted.is_secret) {
        let mut values = wanted.values.clone();
        for value in has.values.iter().filter(|v| !is_wanted(v) && !goes(v)) {
            let Some(text) = value.text.as_ref().filter(|_| !has.is_secret) else {
                bail!(
                    "{key} has to be set anew, since its scopes are not those of functions alone, \
                     but its value for the context {} is a secret that cannot be read: remove it \
                     with `netlify env:unset {key}`, and set that value again afterwards",
                    value.context
                );
            };
            if wanted.is_secret && value.context == Context::All {
                bail!(
                    "{key} has to become a secret, but has a value for all contexts, which no \
                     secret can have: remove it with `netlify env:unset {key}`"
                );
            }
            values.push((value.context.clone(), text.clone()));
        }
        return Ok(vec![Change::Replace {
            key,
            is_secret: wanted.is_secret,
            values,
        }]);
    }
    let mut changes = Vec::new();
    for value in has.values.iter().filter(goes) {
        if let Some(id) = &value.id {
            changes.push(Change::Unset {
                key: key.clone(),
                id: id.clone(),
                context: value.context.clone(),
            });
        }
    }
    for (context, value) in &wanted.values {
        let is_same = has
            .value_for(context)
            .and_then(|has| has.text.as_ref())
            .is_some_and(|text| text.expose_secret() == value.expose_secret());
        if !is_same {
            changes.push(Change::Set {
                key: key.clone(),
                is_secret: has.is_secret,
                context: context.clone(),
                value: value.clone(),
            });
        }
    }
    Ok(changes)
}

/// Looks once more at all that would be sent: nothing of production's secrets goes to a
/// context that does not serve production.
///
/// # Errors
///
/// When something would. No secret is in it.
pub(crate) fn keep_apart(changes: &[Change], secrets: &[SecretString]) -> anyhow::Result<()> {
    for change in changes {
        for (context, value) in change.sends() {
            let holds_one = secrets
                .iter()
                .map(ExposeSecret::expose_secret)
                .any(|secret| !secret.is_empty() && value.expose_secret().contains(secret));
            if holds_one && *context != Context::Production {
                bail!(
                    "{} for the context {context} would hold a secret of production's: nothing \
                     was set; check --app and --token-for",
                    change.key()
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(is_secret: bool, scopes: &[&str], values: &[(Context, &str)]) -> Variable {
        let values = values
            .iter()
            .enumerate()
            .map(|(id, (context, text))| Value {
                id: Some(id.to_string()),
                context: context.clone(),
                text: (!is_secret).then(|| (*text).into()),
            });
        Variable {
            key: "KEY".to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            is_secret,
            values: values.collect(),
        }
    }

    fn wanted(is_secret: bool, values: &[(Context, &str)], absent: &[Context]) -> Wanted {
        Wanted {
            key: "KEY",
            is_secret,
            values: values
                .iter()
                .map(|(context, text)| (context.clone(), (*text).into()))
                .collect(),
            absent: absent.to_vec(),
        }
    }

    /// The changes, one line each.
    fn shown(changes: &[Change]) -> Vec<String> {
        let one = |change: &Change| {
            let sends = change.sends().into_iter();
            let sends: Vec<_> = sends
                .map(|(context, value)| format!("{context}={}", value.expose_secret()))
                .collect();
            match change {
                Change::Create { .. } => format!("create {}", sends.join(" ")),
                Change::Replace { .. } => format!("replace {}", sends.join(" ")),
                Change::Set { .. } => format!("set {}", sends.join(" ")),
                Change::Unset { context, .. } => format!("unset {context}"),
            }
        };
        changes.iter().map(one).collect()
    }

    fn planned(has: Option<&Variable>, wanted: &Wanted) -> Vec<String> {
        shown(&changes(has, wanted, true).unwrap())
    }

    use Context::{All, BranchDeploy, DeployPreview, Production};

    #[test]
    fn new_variable_is_made_and_a_missing_one_stays_missing() {
        let new = wanted(false, &[(Production, "a"), (DeployPreview, "b")], &[]);
        assert_eq!(
            planned(None, &new),
            ["create production=a deploy-preview=b"]
        );
        assert!(planned(None, &wanted(false, &[], &[Production])).is_empty());
    }

    #[test]
    fn value_that_is_there_is_left_alone_and_a_secret_is_set_again() {
        let wanted_both = |secret| wanted(secret, &[(Production, "a"), (DeployPreview, "b")], &[]);
        let values = [(Production, "a"), (DeployPreview, "x"), (All, "y")];
        let has = variable(false, &["functions"], &values);
        assert_eq!(
            planned(Some(&has), &wanted_both(false)),
            ["set deploy-preview=b"]
        );
        let has = variable(true, &["functions"], &values[..2]);
        assert_eq!(
            planned(Some(&has), &wanted_both(true)),
            ["set production=a", "set deploy-preview=b"]
        );
    }

    #[test]
    fn value_that_must_not_be_there_goes_first() {
        let has = variable(
            true,
            &["functions"],
            &[(DeployPreview, "a"), (BranchDeploy, "b")],
        );
        let wanted = wanted(true, &[(Production, "c")], &[DeployPreview, All]);
        assert_eq!(
            planned(Some(&has), &wanted),
            ["unset deploy-preview", "set production=c"]
        );
    }

    #[test]
    fn variable_of_other_scopes_is_replaced_with_what_others_have() {
        let has = variable(
            false,
            &["builds", "functions"],
            &[(All, "x"), (Production, "y")],
        );
        let wanted_one = wanted(false, &[(Production, "a")], &[]);
        assert_eq!(
            planned(Some(&has), &wanted_one),
            ["replace production=a all=x"]
        );
        let without = changes(Some(&has), &wanted_one, false).unwrap();
        assert_eq!(shown(&without), ["set production=a"]);
    }

    #[test]
    fn variable_becomes_a_secret_without_its_value_for_all() {
        let has = variable(false, &["functions"], &[(All, "x")]);
        let secret = wanted(true, &[(Production, "a")], &[All]);
        assert_eq!(planned(Some(&has), &secret), ["replace production=a"]);
        let secret = wanted(true, &[(Production, "a")], &[]);
        let error = changes(Some(&has), &secret, true).unwrap_err().to_string();
        assert!(error.contains("env:unset KEY"), "{error}");
    }

    #[test]
    fn secret_of_another_context_is_not_lost() {
        let has = variable(true, &["builds"], &[(BranchDeploy, "x")]);
        let wanted = wanted(true, &[(Production, "a")], &[]);
        let error = changes(Some(&has), &wanted, true).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn secret_of_production_goes_to_production_alone() {
        let secrets = ["c4n4ry".into()];
        let to = |context| {
            let wanted = wanted(true, &[(context, "staging=postgres://c4n4ry@h/d")], &[]);
            keep_apart(&changes(None, &wanted, true).unwrap(), &secrets)
        };
        assert!(to(Production).is_ok());
        for context in [
            DeployPreview,
            BranchDeploy,
            All,
            Context::Branch("x".into()),
        ] {
            let error = to(context).unwrap_err();
            assert!(!format!("{error:?}").contains("c4n4ry"));
        }
    }
}
