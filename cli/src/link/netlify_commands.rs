//! The changes of a plan as a shell script for the Netlify command line. Each secret is the name
//! of a shell variable, so that neither the output nor the shell's history holds one.
//!
//! The lines call `netlify api`, with the requests that `stagelink link` makes itself, and not
//! `netlify env:set` and `env:unset` (by netlify-cli 27.10.2): `env:set` refuses `--context` beside
//! `--scope` for a variable that exists; without `--scope` it gives a new one all scopes; without
//! `--context` it sends the masks of secrets as their values; it takes a value that begins with `-`
//! for an option, and writes a branch in lower case. `env:unset --context` also removes the value of
//! all contexts. Both work on the site that the folder happens to be linked to.

mod shell;
#[cfg(test)]
mod tests;
mod variable_line;

use std::collections::{BTreeMap, BTreeSet};

use stagelink::Stage;
use stagelink_pipeline::LinkPlan;

use self::shell::{comment, quoted};
use self::variable_line::{VariableLine, credentials_variable};

/// Returns the lines of a shell script that makes the changes of a plan. `tokens` names the
/// variable that holds the token of each stage, and `is_site_known` says whether the plan is made
/// for the variables that the site has.
pub(super) fn lines(
    plan: &LinkPlan,
    tokens: &BTreeMap<Stage, String>,
    is_site_known: bool,
) -> Vec<String> {
    let variables = match is_site_known {
        true => VariableLine::of_changes(plan.changes(), plan.desired_variables()),
        false => VariableLine::of_unknown_site(plan),
    };
    let mut inputs = BTreeSet::new();
    let stage_of = |context: &_| plan.stage_of(context);
    let set: Vec<_> = variables
        .iter()
        .map(|line| line.text(plan.scopes.is_some(), &stage_of, tokens, &mut inputs))
        .collect();

    let mut lines = vec![
        "# Run these lines as a file, with sh: the first failure ends them, and another run makes \
         the changes"
            .to_owned(),
        "# that are left. They need node and the Netlify command line, logged in.".to_owned(),
    ];
    let credentials = plan
        .stages
        .iter()
        .map(|row| (row, credentials_variable(row.stage)));
    for (row, variable) in credentials.filter(|(_, variable)| inputs.contains(variable)) {
        lines.push(comment(&format!(
            "{variable} has to hold the output of `stagelink credentials --stage {}`, by the URL \
             in {}",
            row.stage, row.credentials
        )));
    }
    for finding in &plan.findings {
        let end = match finding.is_leak() && !finding.is_removed {
            true => ": remove it, which these lines do not do",
            false => "",
        };
        lines.push(comment(&format!("{finding}{end}")));
    }
    lines.extend(plan.notes.iter().map(|note| comment(note)));
    if !is_site_known {
        lines.push(comment(
            "with a token of Netlify these lines would also remove other stages' database URLs",
        ));
    }
    lines.push("set -eu".to_owned());
    lines.extend(
        inputs
            .iter()
            .map(|name| format!(": \"${{{name}:?has to be set for these lines}}\"")),
    );
    lines.push(format!("netlify_link() {{\nnode - \"$@\" <<'{END}'"));
    lines.extend([API, FIND_SITE, VARIABLE].map(|part| part.trim_end().to_owned()));
    if !is_site_known {
        lines.push(MOVED.trim_end().to_owned());
    }
    lines.push(format!("{RUN}\n{END}\n}}"));
    lines.push(format!("site=$(netlify_link site {})", quoted(&plan.site)));
    if !is_site_known {
        let mut line = "netlify_link unmoved \"$site\"".to_owned();
        for context in variable_line::contexts_with_database(plan) {
            line.push_str(&format!(" {}", quoted(&context.to_string())));
        }
        lines.push(line);
    }
    lines.extend(set);
    lines
}

const API: &str = include_str!("netlify_commands/api.js");
const FIND_SITE: &str = include_str!("netlify_commands/find_site.js");
const VARIABLE: &str = include_str!("netlify_commands/variable.js");
const MOVED: &str = include_str!("netlify_commands/moved.js");

/// Runs the action that the arguments name.
const RUN: &str = "\nconst [action, ...words] = process.argv.slice(2);\nactions[action](...words);";

/// The line that ends the program within the script.
const END: &str = "END_OF_PROGRAM";
