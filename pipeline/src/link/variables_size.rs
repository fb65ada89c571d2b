//! The size of the variables that functions of a context would have, held against AWS Lambda's
//! limit.

use secrecy::ExposeSecret;

use crate::link::change::Change;
use crate::link::site_variables::SiteVariables;
use crate::netlify::{DeployContext, FUNCTIONS_SCOPE, Variable};

/// Returns a warning for each context whose functions would have more than the limit.
pub(super) fn warnings<'a>(
    contexts: impl IntoIterator<Item = &'a DeployContext>,
    site: &SiteVariables,
    changes: &[Change],
) -> Vec<String> {
    let mut own = site.own.clone();
    for change in changes {
        change.apply_to(&mut own);
    }
    contexts
        .into_iter()
        .filter_map(|context| Size::of(context, &own, site.of_account()).warning(context))
        .collect()
}

/// Returns the excess of the variables that functions of a context have, with the largest of them;
/// `None` within the limit.
pub(crate) fn excess(
    context: &DeployContext,
    own: &[Variable],
    account: &[Variable],
) -> Option<String> {
    Size::of(context, own, account).excess(context)
}

/// The variables of a context's functions with their sizes.
struct Size<'a> {
    /// Bytes of the name and the value, by the name.
    variables: Vec<(usize, &'a str)>,
    /// The number of values that cannot be read, of which the name alone counts.
    unknown: usize,
}

impl<'a> Size<'a> {
    fn of(context: &DeployContext, own: &'a [Variable], account: &'a [Variable]) -> Self {
        let mut size = Self {
            variables: Vec::new(),
            unknown: 0,
        };
        let is_own = |key: &str| {
            let found = own.iter().find(|of| of.key == key);
            found.is_some_and(|own| own.value_in(context).is_some())
        };
        let inherited = account.iter().filter(|of| !is_own(&of.key));
        for variable in own.iter().chain(inherited) {
            let reaches_functions = variable.scopes.is_empty()
                || variable.scopes.iter().any(|scope| scope == FUNCTIONS_SCOPE);
            let value = variable.value_in(context).filter(|_| reaches_functions);
            let Some(value) = value else {
                continue;
            };
            let length = value.text.as_ref().map(|text| text.expose_secret().len());
            size.unknown += usize::from(length.is_none());
            let bytes = variable.key.len() + length.unwrap_or_default();
            size.variables.push((bytes, &variable.key));
        }
        size.variables.sort_by(|one, other| other.cmp(one));
        size
    }

    /// The warning with its advice.
    fn warning(&self, context: &DeployContext) -> Option<String> {
        let excess = self.excess(context)?;
        Some(format!(
            "{excess}. Remove what functions do not need, or take the scope functions from it"
        ))
    }

    fn excess(&self, context: &DeployContext) -> Option<String> {
        let bytes: usize = self.variables.iter().map(|(bytes, _)| bytes).sum();
        if bytes <= LIMIT_BYTES {
            return None;
        }
        let largest: Vec<_> = self
            .variables
            .iter()
            .take(MOST_SHOWN)
            .map(|(bytes, key)| format!("{key} {bytes}"))
            .collect();
        let unknown = match self.unknown {
            0 => String::new(),
            1 => ", and one value that cannot be read".to_owned(),
            count => format!(", and {count} values that cannot be read"),
        };
        Some(format!(
            "functions of the context {context} would get {bytes} bytes of variables{unknown}; AWS \
             Lambda allows {LIMIT_BYTES}, and Netlify may refuse the deploy. The largest: {}",
            largest.join(", ")
        ))
    }
}

/// The limit of AWS Lambda for all variables of a function, names and values
/// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, 2026-11). Netlify sets some of
/// its own, whose size is not known.
const LIMIT_BYTES: usize = 4096;

const MOST_SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlify::VariableValue;

    fn variable(key: &str, scopes: &[&str], values: &[(DeployContext, Option<usize>)]) -> Variable {
        Variable {
            key: key.to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            is_secret: false,
            updated_at: None,
            values: values
                .iter()
                .map(|(context, length)| VariableValue {
                    id: None,
                    context: context.clone(),
                    text: length.map(|length| "x".repeat(length).into()),
                })
                .collect(),
        }
    }

    fn warned(own: Vec<Variable>, account: Vec<Variable>, changes: &[Change]) -> Vec<String> {
        let site = SiteVariables {
            site: None,
            name: "shop-site".to_owned(),
            own,
            account: Some(account),
        };
        let contexts = [DeployContext::Production, DeployContext::DeployPreview];
        warnings(&contexts, &site, changes)
    }

    #[test]
    fn variables_are_added_up_per_context() {
        use DeployContext::{All, Production};
        let own = || variable("KEY", &["functions"], &[(Production, Some(4093))]);
        assert!(warned(vec![own()], Vec::new(), &[]).is_empty());
        let one_more = variable("A", &["functions", "builds"], &[(All, Some(0))]);
        let warnings = warned(vec![own(), one_more], Vec::new(), &[]);
        let [warning] = warnings.as_slice() else {
            panic!("{warnings:?}");
        };
        for words in ["context production would get 4097 bytes", "KEY 4096, A 1"] {
            assert!(warning.contains(words), "{warning}");
        }
        let hidden = variable("B", &["functions"], &[(All, None)]);
        let warning = warned(vec![own(), hidden], Vec::new(), &[]).remove(0);
        assert!(
            warning.contains("one value that cannot be read"),
            "{warning}"
        );
    }

    #[test]
    fn values_of_builds_and_overridden_ones_do_not_count() {
        use DeployContext::{All, DeployPreview, Production};
        let builds = variable("KEY", &["builds"], &[(All, Some(9000))]);
        assert!(warned(vec![builds], Vec::new(), &[]).is_empty());
        let account = || variable("KEY", &["functions"], &[(All, Some(9000))]);
        assert_eq!(warned(Vec::new(), vec![account()], &[]).len(), 2);
        let short = [(Production, Some(1)), (DeployPreview, Some(1))];
        let own = variable("KEY", &["functions"], &short);
        assert!(warned(vec![own], vec![account()], &[]).is_empty());
    }

    #[test]
    fn what_the_plan_sets_and_removes_counts() {
        use DeployContext::Production;
        let set = Change::Create {
            key: "KEY".to_owned(),
            is_secret: true,
            values: vec![(Production, "x".repeat(5000).into())],
        };
        assert_eq!(warned(Vec::new(), Vec::new(), &[set]).len(), 1);
        let own = variable("KEY", &["functions"], &[(Production, Some(5000))]);
        let removed = Change::Unset {
            key: "KEY".to_owned(),
            id: "1".to_owned(),
            context: Production,
        };
        assert!(warned(vec![own], Vec::new(), &[removed]).is_empty());
    }
}
