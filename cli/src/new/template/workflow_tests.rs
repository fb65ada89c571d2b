//! Tests of the workflows of a new project: what their steps run, as GitHub runs it, with a command that
//! writes down how it was called.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use clap::Parser as _;

use super::FILES;
use crate::args::Args;

/// The jobs that get secrets, each with the environment whose approval and secrets it needs.
const ENVIRONMENTS: [(&str, &[&str]); 3] = [
    ("promote.yml", &["production-plan", "production"]),
    ("rollback.yml", &["production-plan", "production"]),
    ("site.yml", &["staging"]),
];

/// A step with a `run`.
#[derive(Debug, Default)]
struct Step {
    script: String,
    /// Its own variables, with GitHub's expressions.
    variables: BTreeMap<String, String>,
}

fn workflow(name: &str) -> &'static str {
    let path = format!(".github/workflows/{name}");
    let found = FILES.iter().find(|(file, _)| *file == path);
    found.expect("the workflow").1
}

/// Reads the steps of a workflow that run something. It knows the YAML of these workflows alone.
fn steps(workflow: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut block = "";
    for line in workflow.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.starts_with('#') {
            continue;
        }
        if indent == 6 && text.starts_with("- ") {
            steps.push(Step::default());
        }
        let Some(step) = steps.last_mut() else {
            continue;
        };
        let key = text.trim_start_matches("- ");
        match (indent, block) {
            (6 | 8, _) => {
                block = key.split(':').next().unwrap_or_default();
                if let Some(script) = key.strip_prefix("run: ").filter(|script| *script != "|") {
                    step.script = script.to_owned();
                }
            }
            (10, "run") => step.script.push_str(&format!("{text}\n")),
            (10, "env") => {
                let (name, value) = text.split_once(": ").expect("a variable");
                step.variables.insert(name.to_owned(), value.to_owned());
            }
            // The next job.
            (0..6, _) => block = "",
            _ => {}
        }
    }
    steps.retain(|step| !step.script.is_empty());
    steps
}

/// The result of a step.
#[derive(Debug)]
struct Ran {
    is_success: bool,
    /// The arguments of each call of scripts/stagelink, divided by tabs.
    calls: Vec<String>,
    output: String,
    summary: String,
    printed: String,
}

/// Runs a step as GitHub does, with these values of its variables, where `scripts/stagelink` answers with
/// `printed`, and fails where that is empty.
fn run(step: &Step, values: &[(&str, &str)], printed: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("scripts")).unwrap();
    let command = "#!/bin/bash\n\
        (IFS=$'\\t'; echo \"$*\" >>calls)\n\
        [ -n \"$PRINTED\" ] || { echo refused >&2; exit 1; }\n\
        case \" $* \" in *' --json '*) echo \"$PRINTED\" ;; *) echo 'the plan' ;; esac\n";
    fs::write(path("scripts/stagelink"), command).unwrap();
    fs::set_permissions(path("scripts/stagelink"), fs::Permissions::from_mode(0o755)).unwrap();
    for file in ["calls", "output", "summary"] {
        fs::write(path(file), "").unwrap();
    }
    let output = Command::new("bash")
        .args([
            "--noprofile",
            "--norc",
            "-eo",
            "pipefail",
            "-c",
            &step.script,
        ])
        .current_dir(folder.path())
        .env("GITHUB_OUTPUT", path("output"))
        .env("GITHUB_STEP_SUMMARY", path("summary"))
        .env("PRINTED", printed)
        .envs(values.iter().copied())
        .output()
        .unwrap();
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    Ran {
        is_success: output.status.success(),
        calls: read("calls").lines().map(str::to_owned).collect(),
        output: read("output"),
        summary: read("summary"),
        printed: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    }
}

/// Checks that the command line has the arguments of these calls.
fn ensure_arguments_are_known(ran: &Ran) {
    for call in &ran.calls {
        let arguments = ["stagelink"].into_iter().chain(call.split('\t'));
        if let Err(error) = Args::try_parse_from(arguments) {
            panic!("{call}: {error}");
        }
    }
}

const SECRETS: [(&str, &str); 3] = [
    ("SITE", "shop-site"),
    ("HEROKU_API_KEY", "the secret"),
    ("NETLIFY_AUTH_TOKEN", "the secret"),
];

#[test]
fn staging_is_deployed_with_its_migrations() {
    let steps = steps(workflow("site.yml"));
    let deploy = steps.last().unwrap();
    let ran = run(deploy, &SECRETS, "deployed");
    assert_eq!(ran.calls, ["deploy\tstaging\t--site\tshop-site\t--yes"]);
    ensure_arguments_are_known(&ran);
    assert!(!run(deploy, &SECRETS, "").is_success);
}

#[test]
fn what_the_plan_showed_is_promoted_and_nothing_else() {
    let steps = steps(workflow("promote.yml"));
    let [plan, promote] = &steps[..] else {
        panic!("{steps:?}");
    };
    let digest = "a".repeat(64);
    let ran = run(plan, &SECRETS, &format!("{{\"artifact\":\"{digest}\"}}"));
    assert!(ran.is_success, "{ran:?}");
    assert_eq!(ran.output, format!("artifact={digest}\n"));
    assert_eq!(
        ran.summary,
        "## Promotion to production\n\n```text\nthe plan\n```\n"
    );
    assert_eq!(
        ran.calls,
        [
            "promote\t--site\tshop-site\t--plan\t--json".to_owned(),
            format!("promote\t--site\tshop-site\t--plan\t--artifact\t{digest}"),
        ]
    );
    ensure_arguments_are_known(&ran);
    assert!(!ran.printed.contains("the secret"), "{}", ran.printed);

    // Where production runs it already, the job that needs an approval is skipped.
    let json = format!("{{\"artifact\":\"{digest}\",\"is_promoted\":true}}");
    let ran = run(plan, &SECRETS, &json);
    assert!(ran.is_success && ran.output == "artifact=\n", "{ran:?}");
    assert!(workflow("promote.yml").contains("if: needs.plan.outputs.artifact != ''"));

    let values = [&SECRETS[..], &[("ARTIFACT", &*digest)]].concat();
    let ran = run(promote, &values, "promoted");
    let call = format!("promote\t--site\tshop-site\t--artifact\t{digest}\t--yes");
    assert_eq!(ran.calls, [call]);
    ensure_arguments_are_known(&ran);
    assert!(!run(promote, &values, "").is_success);

    // A plan that is refused promotes nothing: its job fails, and the other one needs it.
    let refused = run(plan, &SECRETS, "");
    assert!(!refused.is_success && refused.output.is_empty());
    // Nor does a plan without an artifact: the command line refuses `null` as a digest.
    let values = [&SECRETS[..], &[("ARTIFACT", "null")]].concat();
    let call = run(promote, &values, "promoted").calls.remove(0);
    let arguments = ["stagelink"].into_iter().chain(call.split('\t'));
    assert!(Args::try_parse_from(arguments).is_err());
}

#[test]
fn rollback_goes_to_the_deploy_that_the_plan_showed() {
    let steps = steps(workflow("rollback.yml"));
    let [plan, rollback] = &steps[..] else {
        panic!("{steps:?}");
    };
    // A person who may start the workflow writes the input: it is one argument, whatever it has.
    for (input, first) in [
        ("", "rollback\t--site\tshop-site\t--plan\t--json"),
        (
            "d1 $(touch x); --yes",
            "rollback\t--site\tshop-site\t--to=d1 $(touch x); --yes\t--plan\t--json",
        ),
    ] {
        let values = [&SECRETS[..], &[("DEPLOY", input)]].concat();
        let ran = run(plan, &values, "{\"deploy\":\"d1\"}");
        assert!(ran.is_success, "{ran:?}");
        assert_eq!(ran.output, "deploy=d1\n");
        assert!(ran.summary.contains("\nthe plan\n"), "{}", ran.summary);
        let second = "rollback\t--site\tshop-site\t--to=d1\t--plan";
        assert_eq!(ran.calls, [first, second]);
        ensure_arguments_are_known(&ran);
    }
    let refused = run(plan, &SECRETS, "");
    assert!(!refused.is_success && refused.output.is_empty());
    let ran = run(
        rollback,
        &[&SECRETS[..], &[("DEPLOY", "d1")]].concat(),
        "done",
    );
    assert_eq!(ran.calls, ["rollback\t--site\tshop-site\t--to=d1\t--yes"]);
    ensure_arguments_are_known(&ran);
}

#[test]
fn secrets_are_variables_of_single_steps_and_nothing_else_is_trusted() {
    for (name, environments) in ENVIRONMENTS {
        let workflow = workflow(name);
        assert!(
            workflow.contains("\npermissions:\n  contents: read\n\n"),
            "{name}"
        );
        assert!(!workflow.contains("pull_request_target"), "{name}");
        let count = |text: &str| workflow.matches(text).count();
        assert_eq!(
            count("uses: actions/checkout@"),
            count("persist-credentials: false"),
            "{name}"
        );
        let found: Vec<_> = workflow
            .lines()
            .filter_map(|line| line.strip_prefix("    environment: "))
            .collect();
        assert_eq!(found, environments, "{name}");
        let mut with_secrets = 0;
        for step in steps(workflow) {
            // An expression in a script is text that another person may write.
            assert!(!step.script.contains("${{"), "{name}: {}", step.script);
            let has_secret = |value: &String| value.contains("secrets.");
            with_secrets += step
                .variables
                .values()
                .filter(|value| has_secret(value))
                .count();
            for word in step.script.split([' ', '(']) {
                let is_ours = FILES.iter().any(|(path, _)| *path == word);
                assert!(is_ours || !word.starts_with("scripts/"), "{name}: {word}");
            }
        }
        assert_eq!(count("secrets."), with_secrets, "{name}");
        assert_eq!(with_secrets, 2 * environments.len(), "{name}");
        for group in environments
            .iter()
            .filter(|name| **name != "production-plan")
        {
            // A promotion that waits for its approval keeps no rollback waiting.
            let of_rollback = if name == "rollback.yml" {
                "-rollback"
            } else {
                ""
            };
            assert!(
                workflow.contains(&format!(
                    "    concurrency:\n      group: {group}{of_rollback}\n"
                )),
                "{name}"
            );
        }
        let is_by_hand = workflow.contains("workflow_dispatch");
        assert_eq!(
            is_by_hand,
            workflow.contains("if: github.ref == 'refs/heads/main'"),
            "{name}"
        );
    }
}

/// The steps that are read from a workflow are all that it has.
#[test]
fn every_step_of_the_workflows_is_read() {
    for (name, _) in ENVIRONMENTS {
        let text = workflow(name);
        assert_eq!(steps(text).len(), text.matches("run: ").count(), "{name}");
    }
    let all = FILES.iter().map(|(path, _)| Path::new(path));
    let workflows = all.filter(|path| path.starts_with(".github/workflows"));
    assert_eq!(workflows.count(), ENVIRONMENTS.len());
}
