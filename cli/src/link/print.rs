//! The changes as lines for the Netlify command line: with every secret by the name of a
//! variable, so that none is shown, nor kept by a shell's history.
//!
//! By netlify-cli 26.2.0: `env:set` takes the site that the folder is linked to, whatever
//! `--site` says; it refuses `--context` beside `--scope` for a variable that is
//! there already; without a value it changes the scope, or makes a secret, and keeps the
//! values; `--secret` keeps it from repeating the value.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use stagelink::Stage;

use super::context::Context;
use super::netlify::{FUNCTIONS, Variable};
use super::plan::Change;
use super::report::Facts;

/// The lines of a script.
pub(crate) fn lines(
    facts: &Facts<'_>,
    changes: &[Change],
    tokens: &BTreeMap<Stage, String>,
    has: &[Variable],
) -> Vec<String> {
    let by = if is_id(facts.site) { "id" } else { "name" };
    let mut lines = vec![format!("netlify link --{by} {}", quoted(facts.site))];
    for (stage, found) in facts
        .stages
        .iter()
        .map(|found| (found.examination.stage, found))
    {
        lines.push(format!(
            "# {} has to hold what `stagelink credentials --stage {stage}` prints, by the URL in {}",
            credentials_variable(stage),
            found.origin
        ));
    }
    let script = Script { facts, tokens };
    for change in changes {
        script.add(&mut lines, change, has);
    }
    lines
}

struct Script<'a> {
    facts: &'a Facts<'a>,
    tokens: &'a BTreeMap<Stage, String>,
}

impl Script<'_> {
    fn add(&self, lines: &mut Vec<String>, change: &Change, has: &[Variable]) {
        let scope = match self.facts.scopes {
            true => format!(" --scope {FUNCTIONS}"),
            false => String::new(),
        };
        match change {
            Change::Create {
                key,
                is_secret,
                values,
            } => {
                for (number, (context, value)) in values.iter().enumerate() {
                    // It is there from the second one on.
                    let scope = if number == 0 { scope.as_str() } else { "" };
                    let line = self.set(key, *is_secret, context, value);
                    lines.push(format!("{line}{scope}"));
                }
            }
            Change::Replace {
                key,
                is_secret,
                values,
            } => {
                // First, since a value for all contexts would become one of each when its
                // variable becomes a secret.
                let had = has.iter().filter(|variable| variable.key == *key);
                for value in had.flat_map(|variable| &variable.values) {
                    if !values.iter().any(|(stays, _)| *stays == value.context) {
                        lines.push(unset(key, &value.context));
                    }
                }
                let secret = if *is_secret { " --secret" } else { "" };
                lines.push(format!("netlify env:set {key}{secret}{scope} --force"));
                let is_linked = |context: &Context| self.facts.stage_of(context).is_some();
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
        }
    }

    fn set(&self, key: &str, is_secret: bool, context: &Context, value: &SecretString) -> String {
        let (value, secret) = match self.facts.stage_of(context).filter(|_| is_secret) {
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

fn unset(key: &str, context: &Context) -> String {
    let context = quoted(&context.to_string());
    format!("netlify env:unset {key} --context {context} --force")
}

/// Whether a site is called by its id, which is a UUID, and not by its name.
fn is_id(site: &str) -> bool {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '-';
    site.len() == 36 && site.chars().all(is_part)
}

/// The variable that a line expects a stage's deploy-time credentials in.
fn credentials_variable(stage: Stage) -> String {
    format!("STAGELINK_CREDENTIALS_{}", stage.as_str().to_uppercase())
}

/// A text as one word of a shell.
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
    use crate::link::netlify::Value;

    fn printed(changes: &[Change]) -> Vec<String> {
        printed_beside(changes, &[])
    }

    fn printed_beside(changes: &[Change], has: &[Variable]) -> Vec<String> {
        let facts = Facts {
            site: "shop",
            scopes: true,
            stages: &[],
            contexts: &[
                (Context::Production, Stage::Production),
                (Context::Branch("staging".to_owned()), Stage::Staging),
            ],
        };
        let tokens = [(Stage::Staging, "STAGING_TOKEN".to_owned())].into();
        lines(&facts, changes, &tokens, has)
    }

    fn both(is_secret: bool, key: &str) -> Change {
        Change::Create {
            key: key.to_owned(),
            is_secret,
            values: vec![
                (Context::Branch("staging".to_owned()), "c4n4ry".into()),
                (Context::Production, "it's".into()),
            ],
        }
    }

    #[test]
    fn scope_is_set_with_the_first_value_alone() {
        assert_eq!(
            printed(&[both(false, "KEY")]),
            [
                "netlify link --name shop",
                "netlify env:set KEY c4n4ry --context branch:staging --force \
                 --scope functions",
                r"netlify env:set KEY 'it'\''s' --context production --force",
            ]
        );
    }

    #[test]
    fn value_that_goes_is_gone_before_its_variable_becomes_a_secret() {
        let has = Variable {
            key: "STAGELINK_CREDENTIALS".to_owned(),
            scopes: Vec::new(),
            is_secret: false,
            values: vec![Value {
                id: None,
                context: Context::All,
                text: Some("c4n4ry".into()),
            }],
        };
        let change = Change::Replace {
            key: "STAGELINK_CREDENTIALS".to_owned(),
            is_secret: true,
            values: vec![(Context::Production, "c4n4ry".into())],
        };
        assert_eq!(
            printed_beside(&[change], &[has])[1..],
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
