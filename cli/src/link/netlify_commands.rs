//! The changes of a plan as commands of the Netlify command line. Each secret is the name of a
//! shell variable, so that neither the output nor the shell's history holds one.
//!
//! By netlify-cli 26.2.0: `env:set` takes the site that the folder is linked to, whatever
//! `--site` says; it refuses `--context` beside `--scope` for an existing variable; without a
//! value it changes the scope, or makes a secret, and keeps the values; `--secret` keeps it from
//! repeating the value. `env:unset --context` also removes the value of all contexts, and where it
//! removes that alone, it sets that value for each of the other contexts.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use stagelink::Stage;
use stagelink_pipeline::{Change, DeployContext, LinkPlan, VariableChange};

/// Returns the lines of a shell script that makes the changes of a plan. `tokens` names the
/// variable that holds the token of each stage, and `is_site_known` says whether the plan is made
/// for the variables that the site has.
pub(super) fn lines(
    plan: &LinkPlan,
    tokens: &BTreeMap<Stage, String>,
    is_site_known: bool,
) -> Vec<String> {
    let given = plan.variables.iter();
    let is_kept = |change| [VariableChange::Kept, VariableChange::Removed].contains(&change);
    let given = given.filter(|row| !is_kept(row.change));
    let mut script = Script {
        has_scopes: plan.scopes.is_some(),
        stage_of: &|context| plan.stage_of(context),
        given: given
            .map(|row| (row.variable.as_str(), &row.context))
            .collect(),
        tokens,
        unset: BTreeSet::new(),
        inputs: BTreeMap::new(),
        lines: Vec::new(),
    };
    for change in plan.changes() {
        script.add(change);
    }

    let mut lines = vec!["# run these lines as a file: the first failure ends them".to_owned()];
    for row in &plan.stages {
        let stage = row.stage;
        lines.push(comment(&format!(
            "{} has to hold the output of `stagelink credentials --stage {stage}`, by the URL in {}",
            credentials_variable(stage),
            row.credentials
        )));
    }
    for (name, meaning) in &script.inputs {
        if let Some(kept) = meaning {
            lines.push(comment(&format!("{name} has to hold {kept}")));
        }
    }
    for finding in &plan.findings {
        let end = match finding.is_leak() && !finding.is_removed {
            true => ": remove it, which these lines do not do",
            false => "",
        };
        lines.push(comment(&format!("{finding}{end}")));
    }
    lines.extend(plan.notes.iter().map(|note| comment(note)));
    lines.push("set -eu".to_owned());
    let inputs = script.inputs.keys();
    lines.extend(inputs.map(|name| format!(": \"${{{name}:?has to be set for these lines}}\"")));
    let by = if is_id(&plan.site) { "id" } else { "name" };
    lines.push(format!("netlify link --{by} {}", quoted(&plan.site)));
    if !is_site_known {
        lines.push(
            "# with NETLIFY_AUTH_TOKEN these lines would fit the variables that the site has, and \
             remove what has to go: values of an earlier run that are not set below, other stages' \
             database URLs, and this former name of STAGELINK_CREDENTIALS, with which functions \
             refuse to start:"
                .to_owned(),
        );
        lines.push("netlify env:unset STAGELINK_SEALED --force".to_owned());
    }
    lines.extend(script.lines);
    lines
}

struct Script<'a> {
    has_scopes: bool,
    stage_of: &'a dyn Fn(&DeployContext) -> Option<Stage>,
    /// The values that the plan itself gives, by variable and context. Others are kept.
    given: BTreeSet<(&'a str, &'a DeployContext)>,
    tokens: &'a BTreeMap<Stage, String>,
    /// The variables that do not exist at this point of the script.
    unset: BTreeSet<String>,
    /// The shell variables that the script reads. Each holds one value; it is said what that is,
    /// unless the plan gives the value.
    inputs: BTreeMap<String, Option<String>>,
    lines: Vec<String>,
}

impl Script<'_> {
    fn add(&mut self, change: &Change) {
        let key = change.key();
        if !is_shell_name(key) {
            self.lines.push(comment(&format!(
                "{key} is no name for a shell: change this variable on Netlify's page"
            )));
            return;
        }
        match change {
            Change::Create {
                is_secret, values, ..
            } => {
                self.unset.insert(key.to_owned());
                self.set_all(key, *is_secret, values);
            }
            Change::Replace {
                is_secret,
                values,
                removed,
                ..
            } => {
                let is_all = |context: &DeployContext| *context == DeployContext::All;
                let stays = values.iter().any(|(context, _)| is_all(context));
                if !removed.is_empty() && (stays || removed.iter().any(is_all)) {
                    self.unset_whole(key);
                    self.set_all(key, *is_secret, values);
                    return;
                }
                // First, since a value for all contexts would become one of each when its
                // variable becomes a secret.
                self.lines
                    .extend(removed.iter().map(|context| unset(key, context)));
                let secret = if *is_secret { " --secret" } else { "" };
                let scope = self.scope(key);
                self.lines
                    .push(format!("netlify env:set {key}{secret}{scope} --force"));
                // That line keeps the other values.
                for (context, value) in values {
                    if self.given.contains(&(key, context)) {
                        self.set(key, *is_secret, context, value);
                    }
                }
            }
            Change::Set {
                is_secret,
                context,
                value,
                ..
            } => self.set(key, *is_secret, context, value),
            Change::Unset { context, rest, .. } => {
                if rest.is_empty() && *context != DeployContext::All {
                    self.lines.push(unset(key, context));
                    return;
                }
                self.unset_whole(key);
                self.set_all(key, false, rest);
            }
            // A comment, so that the script does not look complete without it.
            _ => self.lines.push(comment(&format!(
                "{key} changes in a way that has no command"
            ))),
        }
    }

    /// Removes a variable with all its values. `env:unset --context` would not do where it has one
    /// for all contexts: it removes that too, and where it finds no other, sets it for each context.
    fn unset_whole(&mut self, key: &str) {
        self.lines.push(format!("netlify env:unset {key} --force"));
        self.unset.insert(key.to_owned());
    }

    fn set_all(&mut self, key: &str, is_secret: bool, values: &[(DeployContext, SecretString)]) {
        for (context, value) in values {
            self.set(key, is_secret, context, value);
        }
    }

    fn set(&mut self, key: &str, is_secret: bool, context: &DeployContext, value: &SecretString) {
        let is_given = is_own(key) && self.given.contains(&(key, context));
        let stage = (self.stage_of)(context).filter(|_| is_given);
        let value = match stage {
            Some(stage) if key == TOKEN => self
                .tokens
                .get(&stage)
                .map(|name| self.input(name.clone(), None)),
            Some(stage) if HOLD_SECRETS.contains(&key) => {
                Some(self.input(credentials_variable(stage), None))
            }
            Some(_) if !is_secret => Some(quoted(value.expose_secret())),
            _ => None,
        };
        // A kept value may be secret, whatever Netlify calls it.
        let value = value.unwrap_or_else(|| self.kept(key, context));
        let secret = if is_secret { " --secret" } else { "" };
        // From the second value on the variable exists.
        let scope = match self.unset.remove(key) {
            true => self.scope(key),
            false => "",
        };
        let context = quoted(&context.to_string());
        self.lines.push(format!(
            "netlify env:set {key} {value} --context {context}{secret} --force{scope}"
        ));
    }

    /// Takes note of a shell variable, and returns its value in a script.
    fn input(&mut self, name: String, meaning: Option<String>) -> String {
        let value = format!("\"${name}\"");
        self.inputs.insert(name, meaning);
        value
    }

    /// The value that a variable has for a context, from a shell variable of its own.
    fn kept(&mut self, key: &str, context: &DeployContext) -> String {
        let meaning = Some(format!(
            "the value that {key} has for the context {context}, which is set again below"
        ));
        let mut name = value_variable(key, context);
        let is_taken = |name: &String, script: &Self| {
            let inputs = script.inputs.get(name);
            inputs.is_some_and(|other| *other != meaning)
                || script.tokens.values().any(|token| token == name)
                || Stage::ALL
                    .iter()
                    .any(|stage| *name == credentials_variable(*stage))
        };
        while is_taken(&name, self) {
            name.push('_');
        }
        self.input(name, meaning)
    }

    fn scope(&self, key: &str) -> &'static str {
        match self.has_scopes && is_own(key) {
            true => " --scope functions",
            false => "",
        }
    }
}

/// Returns a text as one line that a shell ignores.
fn comment(text: &str) -> String {
    format!("# {}", text.replace(char::is_control, " "))
}

/// Returns whether this can be the name of a shell variable.
fn is_shell_name(key: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    key.chars().all(is_part) && !key.is_empty() && !key.starts_with(|c: char| c.is_ascii_digit())
}

/// Returns whether `stagelink link` sets the variable.
fn is_own(key: &str) -> bool {
    key.starts_with("STAGELINK_") || key == TOKEN
}

/// The shell variable that holds a kept value for a context.
fn value_variable(key: &str, context: &DeployContext) -> String {
    let context = context.to_string().to_uppercase();
    let context = context.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("{key}_{context}")
}

const TOKEN: &str = "HEROKU_API_KEY";

/// The own variables that hold a secret, also where the site does not keep them as such.
const HOLD_SECRETS: &[&str] = &[TOKEN, "STAGELINK_CREDENTIALS", "STAGELINK_SEALED"];

fn unset(key: &str, context: &DeployContext) -> String {
    let context = quoted(&context.to_string());
    format!("netlify env:unset {key} --context {context} --force")
}

/// Returns whether this is a site's id, which is a UUID, and not its name.
fn is_id(site: &str) -> bool {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '-';
    site.len() == 36 && site.chars().all(is_part)
}

/// The shell variable that holds a stage's deploy-time credentials.
fn credentials_variable(stage: Stage) -> String {
    format!("STAGELINK_CREDENTIALS_{}", stage.as_str().to_uppercase())
}

/// Returns a text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
