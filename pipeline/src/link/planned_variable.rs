//! The variables that a plan shows, each in one context.

use std::fmt;

use secrecy::ExposeSecret;
use serde::{Serialize, Serializer};
use stagelink::Stage;

use crate::link::change::Change;
use crate::link::context_plan::{ContextPlan, DesiredVariable};
use crate::link::site_variables::SiteVariables;
use crate::netlify::DeployContext;

/// A variable in one context, as a plan shows it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedVariable {
    /// The context.
    pub context: DeployContext,
    /// The stage that the context serves, where it is linked.
    #[serde(serialize_with = "display_option")]
    pub stage: Option<Stage>,
    /// The variable's name.
    pub variable: String,
    /// The value. `None` for a secret, for one that is kept, and for one that goes.
    pub value: Option<String>,
    /// True if the value is a secret.
    pub is_secret: bool,
    /// The change to the value.
    pub change: VariableChange,
}

/// The change to a variable's value in one context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VariableChange {
    /// The value stays.
    Unchanged,
    /// The context gets its first value.
    New,
    /// The value becomes another one.
    Changed,
    /// A secret is set again. The old one cannot be read, so it may be the same.
    SetAgain,
    /// The site's own value is sent again as it is: other values of the variable change, or the
    /// context gets as its own what it had from all contexts.
    Kept,
    /// The value goes.
    Removed,
}

impl VariableChange {
    /// The change in a word or two.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::New => "new",
            Self::Changed => "changed",
            Self::SetAgain => "set again",
            Self::Kept => "kept",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for VariableChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for VariableChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Returns the variables of all linked contexts, and all other values that the changes keep or
/// remove.
pub(super) fn planned_variables(
    contexts: &[ContextPlan<'_>],
    desired: &[DesiredVariable],
    changes: &[Change],
    site: &SiteVariables,
) -> Vec<PlannedVariable> {
    let mut variables = Vec::new();
    for plan in contexts {
        for of in desired {
            let value = of.values.iter().find(|(own, _)| own == plan.context);
            let Some((_, value)) = value else {
                continue;
            };
            let is_sent = changes.iter().any(|change| {
                let mut sent = change.sent_values().into_iter();
                change.key() == of.key && sent.any(|(own, _)| own == plan.context)
            });
            let current = site.own(of.key);
            variables.push(PlannedVariable {
                context: plan.context.clone(),
                stage: Some(plan.stage),
                variable: of.key.to_owned(),
                value: (!of.is_secret).then(|| value.expose_secret().to_owned()),
                is_secret: of.is_secret,
                change: match current.and_then(|variable| variable.value_for(plan.context)) {
                    _ if !is_sent => VariableChange::Unchanged,
                    None => VariableChange::New,
                    Some(_) if of.is_secret => VariableChange::SetAgain,
                    Some(_) => VariableChange::Changed,
                },
            });
        }
    }
    let stage_of = |context: &DeployContext| {
        let linked = contexts.iter().find(|plan| plan.context == context);
        linked.map(|plan| plan.stage)
    };
    for change in changes {
        let is_desired = |context: &DeployContext| {
            let mut of_key = desired.iter().filter(|of| of.key == change.key());
            of_key.any(|of| of.values.iter().any(|(own, _)| own == context))
        };
        let sent = change.sent_values().into_iter();
        for (context, _) in sent.filter(|(context, _)| !is_desired(context)) {
            variables.push(PlannedVariable {
                context: context.clone(),
                stage: stage_of(context),
                variable: change.key().to_owned(),
                value: None,
                // It may be one, whatever Netlify calls it.
                is_secret: true,
                change: VariableChange::Kept,
            });
        }
        for context in change.removed_contexts() {
            variables.push(PlannedVariable {
                context: context.clone(),
                stage: stage_of(context),
                variable: change.key().to_owned(),
                value: None,
                is_secret: false,
                change: VariableChange::Removed,
            });
        }
    }
    variables
}

fn display_option<S: Serializer>(
    value: &Option<impl fmt::Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}
