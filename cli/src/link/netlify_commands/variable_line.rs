//! A line of the script, which changes one variable of the site.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Stage, StageKind};
use stagelink_pipeline::{Change, DeployContext, DesiredVariable, LinkPlan};

use super::shell::quoted;

/// The change that a line makes to one variable.
#[derive(Debug)]
pub(super) struct VariableLine<'a> {
    key: &'a str,
    /// True if the values that it sets are secret.
    is_secret: bool,
    /// The contexts that keep, as their own, the value that they inherit.
    keep: Vec<&'a DeployContext>,
    /// The contexts whose values go, as the script names them.
    remove: Vec<String>,
    set: Vec<(&'a DeployContext, &'a SecretString)>,
}

impl<'a> VariableLine<'a> {
    /// The lines that make these changes, in their order. A value that is not desired is one that
    /// a context keeps.
    pub(super) fn of_changes(changes: &'a [Change], desired: &'a [DesiredVariable]) -> Vec<Self> {
        let mut lines: Vec<Self> = Vec::new();
        for change in changes {
            let key = change.key();
            let wanted = desired.iter().find(|of| of.key == key);
            let is_wanted =
                |context| wanted.is_some_and(|of| of.values.iter().any(|(own, _)| own == context));
            let is_whole = matches!(change, Change::Create { .. } | Change::Replace { .. });
            let (set, other): (Vec<_>, Vec<_>) = change
                .sent_values()
                .into_iter()
                .partition(|(context, _)| is_wanted(*context));
            // The script keeps the other values of a variable that it replaces.
            let keep: Vec<_> = match is_whole {
                true => Vec::new(),
                false => other.into_iter().map(|(context, _)| context).collect(),
            };
            // A line first keeps values, and then removes others.
            let last = lines.last_mut().filter(|last| {
                last.key == key
                    && (keep.is_empty() || (last.remove.is_empty() && last.set.is_empty()))
            });
            let line = match last {
                Some(line) => line,
                None => {
                    lines.push(Self::new(key, wanted.is_some_and(|of| of.is_secret)));
                    lines.last_mut().expect("a line was just added")
                }
            };
            line.keep.extend(keep);
            let removed = change.removed_contexts().iter();
            line.remove.extend(removed.map(ToString::to_string));
            line.set.extend(set);
        }
        lines
    }

    /// The lines for a site whose variables are not known: all that it should have, and all that
    /// it must not have.
    pub(super) fn of_unknown_site(plan: &'a LinkPlan) -> Vec<Self> {
        let lines = plan.desired_variables().iter().map(|desired| {
            let mut line = Self::new(desired.key, desired.is_secret);
            line.set = desired
                .values
                .iter()
                .map(|(of, value)| (of, value))
                .collect();
            line.remove = match desired.key {
                FORMER_CREDENTIALS => contexts_of_former_credentials(plan),
                _ => desired.absent.iter().map(ToString::to_string).collect(),
            };
            line
        });
        lines
            .filter(|line| !line.set.is_empty() || !line.remove.is_empty())
            .collect()
    }

    fn new(key: &'a str, is_secret: bool) -> Self {
        Self {
            key,
            is_secret,
            keep: Vec::new(),
            remove: Vec::new(),
            set: Vec::new(),
        }
    }

    /// The line's text. Takes note of the shell variables that it reads.
    pub(super) fn text(
        &self,
        has_scopes: bool,
        stage_of: &dyn Fn(&DeployContext) -> Option<Stage>,
        tokens: &BTreeMap<Stage, String>,
        inputs: &mut BTreeSet<String>,
    ) -> String {
        let mut words = vec![
            "netlify_link variable \"$site\"".to_owned(),
            quoted(self.key),
        ];
        let sets = !self.set.is_empty();
        words.extend((sets && has_scopes).then(|| "functions".to_owned()));
        words.extend((sets && self.is_secret).then(|| "secret".to_owned()));
        let keep = self
            .keep
            .iter()
            .map(|context| ("keep", context.to_string()));
        let remove = self
            .remove
            .iter()
            .map(|context| ("remove", context.clone()));
        for (verb, context) in keep.chain(remove) {
            words.push(format!("{verb} {}", quoted(&context)));
        }
        for (context, value) in &self.set {
            let word = match self.is_secret {
                false => quoted(value.expose_secret()),
                true => {
                    let stage = stage_of(context);
                    let stage = stage.as_ref().map_or("", Stage::name);
                    let token = tokens.iter().find(|(of, _)| of.name() == stage);
                    let name = match token.filter(|_| self.key == TOKEN) {
                        Some((_, name)) => name.clone(),
                        None => secret_variable(self.key, stage),
                    };
                    let word = format!("\"${name}\"");
                    inputs.insert(name);
                    word
                }
            };
            words.push(format!("set {} {word}", quoted(&context.to_string())));
        }
        words.join(" ")
    }
}

/// The shell variable that holds a stage's deploy-time credentials.
pub(super) fn credentials_variable(stage: Stage) -> String {
    secret_variable("STAGELINK_CREDENTIALS", stage.name())
}

/// The linked contexts whose functions have a database. The deploys of other branches get their
/// stage alone.
pub(super) fn contexts_with_database(plan: &LinkPlan) -> BTreeSet<&DeployContext> {
    let linked = plan.variables.iter().filter(|row| row.stage.is_some());
    let contexts = linked.map(|row| &row.context);
    contexts
        .filter(|context| **context != DeployContext::BranchDeploy)
        .collect()
}

/// The contexts that lose the variable of the former name: those of the linked stages, and those of
/// no stage.
fn contexts_of_former_credentials(plan: &LinkPlan) -> Vec<String> {
    let linked = plan.variables.iter().filter_map(|row| row.stage);
    let linked: BTreeSet<_> = linked.map(|stage| stage.kind()).collect();
    let of_kinds = [
        (StageKind::Production, "production"),
        (StageKind::Staging, "branch:*"),
        (StageKind::Review, "branch-deploy"),
        (StageKind::Review, "deploy-preview"),
    ];
    of_kinds
        .into_iter()
        .filter(|(kind, _)| linked.contains(kind))
        .map(|(_, context)| context)
        .chain(["all", "dev", "dev-server"])
        .map(ToOwned::to_owned)
        .collect()
}

/// The shell variable that holds a secret of a stage.
fn secret_variable(key: &str, stage: &str) -> String {
    format!("{key}_{}", stage.to_uppercase().replace('-', "_"))
}

const TOKEN: &str = "HEROKU_API_KEY";

/// The former name of `STAGELINK_CREDENTIALS`: functions refuse to start where it is set.
const FORMER_CREDENTIALS: &str = "STAGELINK_SEALED";
