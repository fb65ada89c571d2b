//! The changes of a plan as commands of the Netlify command line. Each secret is the name of a
//! shell variable, so that neither the output nor the shell's history holds one.
//!
//! By netlify-cli 26.2.0: `env:set` takes the site that the folder is linked to, whatever
//! `--site` says; it refuses `--context` beside `--scope` for an existing variable; without a
//! value it changes the scope, or makes a secret, and keeps the values; `--secret` keeps it from
//! repeating the value.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use stagelink::Stage;
use stagelink_pipeline::{Change, DeployContext, LinkPlan};

/// Returns the lines of a shell script that makes the changes of a plan. `tokens` names the
/// variable that holds the token of each stage.
pub(super) fn lines(plan: &LinkPlan, tokens: &BTreeMap<Stage, String>) -> Vec<String> {
    let by = if is_id(&plan.site) { "id" } else { "name" };
    let mut lines = vec![format!("netlify link --{by} {}", quoted(&plan.site))];
    for row in &plan.stages {
        let stage = row.stage;
        lines.push(format!(
            "# {} has to hold the output of `stagelink credentials --stage {stage}`, by the URL in {}",
            credentials_variable(stage),
            row.credentials
        ));
    }
    let script = Script {
        has_scopes: plan.scopes.is_some(),
        stage_of: &|context| plan.stage_of(context),
        tokens,
    };
    for change in plan.changes() {
        script.add(&mut lines, change);
    }
    lines
}

struct Script<'a> {
    has_scopes: bool,
    stage_of: &'a dyn Fn(&DeployContext) -> Option<Stage>,
    tokens: &'a BTreeMap<Stage, String>,
}

impl Script<'_> {
    fn add(&self, lines: &mut Vec<String>, change: &Change) {
        let scope = match self.has_scopes {
            true => " --scope functions",
            false => "",
        };
        match change {
            Change::Create {
                key,
                is_secret,
                values,
            } => {
                for (number, (context, value)) in values.iter().enumerate() {
                    // From the second one on the variable exists.
                    let scope = if number == 0 { scope } else { "" };
                    let line = self.set(key, *is_secret, context, value);
                    lines.push(format!("{line}{scope}"));
                }
            }
            Change::Replace {
                key,
                is_secret,
                values,
                removed,
            } => {
                // First, since a value for all contexts would become one of each when its
                // variable becomes a secret.
                lines.extend(removed.iter().map(|context| unset(key, context)));
                let secret = if *is_secret { " --secret" } else { "" };
                lines.push(format!("netlify env:set {key}{secret}{scope} --force"));
                let is_linked = |context: &DeployContext| (self.stage_of)(context).is_some();
                for (context, value) in values.iter().filter(|(context, _)| is_linked(context)) {
                    lines.push(self.set(key, *is_secret, context, value));
                }
            }
            Change::Set {
                key,
                is_secret,
                context,
                value,
            } => lines.push(self.set(key, *is_secret, context, value)),
            Change::Unset { key, context, .. } => lines.push(unset(key, context)),
            // A comment, so that the script does not look complete without it.
            _ => lines.push(format!(
                "# {} changes in a way that has no command",
                change.key()
            )),
        }
    }

    fn set(
        &self,
        key: &str,
        is_secret: bool,
        context: &DeployContext,
        value: &SecretString,
    ) -> String {
        let (value, secret) = match (self.stage_of)(context).filter(|_| is_secret) {
            Some(stage) if key == "HEROKU_API_KEY" => {
                let name = self.tokens.get(&stage).map_or(key, String::as_str);
                (format!("\"${name}\""), " --secret")
            }
            Some(stage) => (format!("\"${}\"", credentials_variable(stage)), " --secret"),
            None if is_secret => ("\"$SECRET\"".to_owned(), " --secret"),
            None => (quoted(value.expose_secret()), ""),
        };
        let context = quoted(&context.to_string());
        format!("netlify env:set {key} {value} --context {context}{secret} --force")
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(changes: &[Change]) -> Vec<String> {
        let tokens = [(Stage::Staging, "STAGING_TOKEN".to_owned())].into();
        let script = Script {
            has_scopes: true,
            stage_of: &|context| match context {
                DeployContext::Production => Some(Stage::Production),
                DeployContext::Branch(_) => Some(Stage::Staging),
                _ => None,
            },
            tokens: &tokens,
        };
        let mut lines = Vec::new();
        for change in changes {
            script.add(&mut lines, change);
        }
        lines
    }

    fn both(is_secret: bool, key: &str) -> Change {
        Change::Create {
            key: key.to_owned(),
            is_secret,
            values: vec![
                (DeployContext::Branch("staging".to_owned()), "c4n4ry".into()),
                (DeployContext::Production, "it's".into()),
            ],
        }
    }

    #[test]
    fn scope_is_set_with_the_first_value_alone() {
        assert_eq!(
            printed(&[both(false, "KEY")]),
            [
                "netlify env:set KEY c4n4ry --context branch:staging --force \
                 --scope functions",
                r"netlify env:set KEY 'it'\''s' --context production --force",
            ]
        );
    }

    #[test]
    fn value_that_goes_is_gone_before_its_variable_becomes_a_secret() {
        let change = Change::Replace {
            key: "STAGELINK_CREDENTIALS".to_owned(),
            is_secret: true,
            values: vec![(DeployContext::Production, "c4n4ry".into())],
            removed: vec![DeployContext::All],
        };
        assert_eq!(
            printed(&[change]),
            [
                "netlify env:unset STAGELINK_CREDENTIALS --context all --force",
                "netlify env:set STAGELINK_CREDENTIALS --secret --scope functions --force",
                "netlify env:set STAGELINK_CREDENTIALS \"$STAGELINK_CREDENTIALS_PRODUCTION\" --context \
                 production --secret --force",
            ]
        );
    }

    #[test]
    fn secret_is_named_and_not_printed() {
        let lines = printed(&[
            both(true, "STAGELINK_CREDENTIALS"),
            both(true, "HEROKU_API_KEY"),
        ]);
        let text = lines.join("\n");
        assert!(!text.contains("c4n4ry"), "{text}");
        for words in [
            "STAGELINK_CREDENTIALS \"$STAGELINK_CREDENTIALS_STAGING\" --context branch:staging --secret",
            "STAGELINK_CREDENTIALS \"$STAGELINK_CREDENTIALS_PRODUCTION\" --context production --secret",
            "HEROKU_API_KEY \"$STAGING_TOKEN\" --context branch:staging --secret",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
    }
}
