//! The changes that make a site's variables the desired ones: pure.

use secrecy::ExposeSecret;

use crate::error::{Error, ErrorKind};
use crate::link::change::Change;
use crate::link::context_plan::DesiredVariable;
use crate::netlify::{DeployContext, FUNCTIONS_SCOPE, Variable, VariableValue};

/// Returns the changes to one variable, in the order in which they are made. Values of other
/// contexts stay as they are.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when a value would have to be sent again that cannot be read, since it
/// is a secret.
pub(super) fn diff(
    current: Option<&Variable>,
    desired: &DesiredVariable,
    has_scopes: bool,
) -> Result<Vec<Change>, Error> {
    let key = desired.key.to_owned();
    let Some(current) = current else {
        return Ok(match desired.values.is_empty() {
            true => Vec::new(),
            false => vec![Change::Create {
                key,
                is_secret: desired.is_secret,
                values: desired.values.clone(),
            }],
        });
    };
    let has_right_scopes = !has_scopes || current.scopes == [FUNCTIONS_SCOPE];
    let has_right_form = has_right_scopes && current.is_secret == desired.is_secret;
    if !desired.values.is_empty() && !has_right_form {
        return Ok(vec![replacement(current, desired)?]);
    }
    let mut changes = Vec::new();
    for value in current
        .values
        .iter()
        .filter(|value| desired.absent.contains(&value.context))
    {
        changes.extend(Change::unset(current, value));
    }
    for (context, value) in &desired.values {
        let is_same = current
            .value_for(context)
            .and_then(|current| current.text.as_ref())
            .is_some_and(|text| text.expose_secret() == value.expose_secret());
        if !is_same {
            changes.push(Change::Set {
                key: key.clone(),
                is_secret: current.is_secret,
                context: context.clone(),
                value: value.clone(),
            });
        }
    }
    Ok(changes)
}

/// The change that sends a variable anew, with the values of other contexts.
fn replacement(current: &Variable, desired: &DesiredVariable) -> Result<Change, Error> {
    let key = desired.key.to_owned();
    let mut values = desired.values.clone();
    let mut removed = Vec::new();
    let is_desired =
        |value: &&VariableValue| desired.values.iter().any(|(of, _)| *of == value.context);
    for value in current.values.iter().filter(|value| !is_desired(value)) {
        if desired.absent.contains(&value.context) {
            removed.push(value.context.clone());
            continue;
        }
        let Some(text) = value.text.as_ref().filter(|_| !current.is_secret) else {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "{key} needs the scope of functions alone, so all its values have to be set \
                     again, but its value for the context {} is a secret that cannot be read: \
                     remove it with `netlify env:unset {key}`, and set that value again afterwards",
                    value.context
                ),
            ));
        };
        if desired.is_secret && value.context == DeployContext::All {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "{key} has to become a secret, but has a value for all contexts, which no \
                     secret can have: remove it with `netlify env:unset {key}`"
                ),
            ));
        }
        values.push((value.context.clone(), text.clone()));
    }
    Ok(Change::Replace {
        key,
        is_secret: desired.is_secret,
        values,
        removed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::change::shown;

    fn variable(is_secret: bool, scopes: &[&str], values: &[(DeployContext, &str)]) -> Variable {
        let values = values
            .iter()
            .enumerate()
            .map(|(id, (context, text))| VariableValue {
                id: Some(id.to_string()),
                context: context.clone(),
                text: (!is_secret).then(|| (*text).into()),
            });
        Variable {
            key: "KEY".to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            is_secret,
            updated_at: None,
            values: values.collect(),
        }
    }

    fn desired(
        is_secret: bool,
        values: &[(DeployContext, &str)],
        absent: &[DeployContext],
    ) -> DesiredVariable {
        DesiredVariable {
            key: "KEY",
            is_secret,
            values: values
                .iter()
                .map(|(context, text)| (context.clone(), (*text).into()))
                .collect(),
            absent: absent.to_vec(),
        }
    }

    fn planned(current: Option<&Variable>, desired: &DesiredVariable) -> Vec<String> {
        shown(&diff(current, desired, true).unwrap())
    }

    use DeployContext::{All, BranchDeploy, DeployPreview, Production};

    #[test]
    fn new_variable_is_created_and_a_missing_one_stays_missing() {
        let new = desired(false, &[(Production, "a"), (DeployPreview, "b")], &[]);
        assert_eq!(
            planned(None, &new),
            ["create production=a deploy-preview=b"]
        );
        assert!(planned(None, &desired(false, &[], &[Production])).is_empty());
    }

    #[test]
    fn same_value_is_left_alone_and_a_secret_is_set_again() {
        let both = |secret| desired(secret, &[(Production, "a"), (DeployPreview, "b")], &[]);
        let values = [(Production, "a"), (DeployPreview, "x"), (All, "y")];
        let current = variable(false, &["functions"], &values);
        assert_eq!(
            planned(Some(&current), &both(false)),
            ["set deploy-preview=b"]
        );
        let current = variable(true, &["functions"], &values[..2]);
        assert_eq!(
            planned(Some(&current), &both(true)),
            ["set production=a", "set deploy-preview=b"]
        );
    }

    #[test]
    fn value_that_must_not_be_there_goes_first() {
        let current = variable(
            true,
            &["functions"],
            &[(DeployPreview, "a"), (BranchDeploy, "b")],
        );
        let desired = desired(true, &[(Production, "c")], &[DeployPreview, All]);
        assert_eq!(
            planned(Some(&current), &desired),
            ["unset -deploy-preview", "set production=c"]
        );
    }

    #[test]
    fn variable_that_is_not_wanted_at_all_loses_its_values() {
        let current = variable(true, &["builds"], &[(Production, "a")]);
        let none = desired(true, &[], &[Production]);
        assert_eq!(planned(Some(&current), &none), ["unset -production"]);
    }

    #[test]
    fn variable_of_other_scopes_is_replaced_with_the_values_of_other_contexts() {
        let current = variable(
            false,
            &["builds", "functions"],
            &[(All, "x"), (Production, "y")],
        );
        let one = desired(false, &[(Production, "a")], &[]);
        assert_eq!(
            planned(Some(&current), &one),
            ["replace production=a all=x"]
        );
        let without = diff(Some(&current), &one, false).unwrap();
        assert_eq!(shown(&without), ["set production=a"]);
    }

    #[test]
    fn variable_becomes_a_secret_without_its_value_for_all() {
        let current = variable(false, &["functions"], &[(All, "x")]);
        let secret = desired(true, &[(Production, "a")], &[All]);
        assert_eq!(
            planned(Some(&current), &secret),
            ["replace production=a -all"]
        );
        let secret = desired(true, &[(Production, "a")], &[]);
        let error = diff(Some(&current), &secret, true).unwrap_err().to_string();
        assert!(error.contains("env:unset KEY"), "{error}");
    }

    #[test]
    fn secret_of_another_context_is_not_lost() {
        let current = variable(true, &["builds"], &[(BranchDeploy, "x")]);
        let desired = desired(true, &[(Production, "a")], &[]);
        let error = diff(Some(&current), &desired, true).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }
}
