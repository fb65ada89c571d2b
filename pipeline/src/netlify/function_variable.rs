//! The variables that functions of a context get: the site's own, and the rest of its account's.

use crate::netlify::{DeployContext, FUNCTIONS_SCOPE, Variable, VariableValue};

/// A variable with the value that functions of a context get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FunctionVariable<'a> {
    pub(crate) variable: &'a Variable,
    pub(crate) value: &'a VariableValue,
    /// True if it is the account's, which the site's own would override.
    pub(crate) is_of_account: bool,
}

/// Returns the variables that functions of a context get, by their names. A variable of another
/// scope and one without a value in the context are left out.
pub(crate) fn function_variables<'a>(
    context: &DeployContext,
    own: &'a [Variable],
    account: &'a [Variable],
) -> Vec<FunctionVariable<'a>> {
    let mut found: Vec<FunctionVariable<'a>> = Vec::new();
    let own = own.iter().map(|variable| (variable, false));
    let account = account.iter().map(|variable| (variable, true));
    for (variable, is_of_account) in own.chain(account) {
        let reaches_functions = variable.scopes.is_empty()
            || variable.scopes.iter().any(|scope| scope == FUNCTIONS_SCOPE);
        let value = variable.value_in(context).filter(|_| reaches_functions);
        let is_overridden = found.iter().any(|it| it.variable.key == variable.key);
        if let (Some(value), false) = (value, is_overridden) {
            found.push(FunctionVariable {
                variable,
                value,
                is_of_account,
            });
        }
    }
    found.sort_by(|one, other| one.variable.key.cmp(&other.variable.key));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(key: &str, scope: &str, context: DeployContext) -> Variable {
        Variable {
            key: key.to_owned(),
            scopes: vec![scope.to_owned()],
            is_secret: false,
            updated_at: None,
            values: vec![VariableValue {
                id: None,
                context,
                text: Some("x".into()),
            }],
        }
    }

    #[test]
    fn own_value_of_the_context_comes_before_the_accounts() {
        use DeployContext::{All, Production};
        let own = [
            variable("B", "functions", Production),
            variable("C", "builds", All),
        ];
        let account = [
            variable("A", "functions", All),
            variable("B", "functions", All),
        ];
        let names = |context| {
            let found = function_variables(&context, &own, &account);
            let names = found
                .iter()
                .map(|it| (it.variable.key.as_str(), it.is_of_account));
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(Production), [("A", true), ("B", false)]);
        assert_eq!(
            names(DeployContext::DeployPreview),
            [("A", true), ("B", true)]
        );
    }
}
