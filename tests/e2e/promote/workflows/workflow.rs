//! The steps of a workflow that run a script, read from its YAML as far as the workflows of `stagelink new`
//! use it: block mappings, two spaces deeper each, and block scalars.

use std::collections::BTreeMap;
use std::fmt;

/// A step of a job that runs a script.
#[derive(Clone, Debug, Default)]
pub(super) struct RunStep {
    pub(super) workflow: String,
    pub(super) job: String,
    pub(super) id: Option<String>,
    pub(super) shell: Option<String>,
    pub(super) script: String,
    pub(super) env: BTreeMap<String, String>,
}

impl fmt::Display for RunStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.script.lines().next().unwrap_or_default();
        write!(f, "{}/{}: {first}", self.workflow, self.job)
    }
}

/// Returns the steps of a workflow that run a script, in their order.
pub(super) fn run_steps(workflow: &str, text: &str) -> Vec<RunStep> {
    let (_, jobs) = text.split_once("\njobs:\n").expect("jobs");
    let mut steps: Vec<RunStep> = Vec::new();
    let (mut job, mut is_env) = (String::new(), false);
    let mut lines = jobs.lines().peekable();
    while let Some(line) = lines.next() {
        let (depth, line) = (depth(line), line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if depth == 2 {
            job = line.trim_end_matches(':').to_owned();
            continue;
        }
        let begins = depth == 6 && line.starts_with("- ");
        if begins {
            steps.push(RunStep {
                workflow: workflow.to_owned(),
                job: job.clone(),
                ..RunStep::default()
            });
        }
        let Some(step) = steps.last_mut() else {
            continue;
        };
        let Some((name, value)) = line.trim_start_matches("- ").split_once(':') else {
            continue;
        };
        let value = value.trim();
        if begins || depth == 8 {
            is_env = name == "env";
            match name {
                "id" => step.id = Some(value.to_owned()),
                "shell" => step.shell = Some(value.to_owned()),
                "run" if value == "|" => {
                    while let Some(line) = lines.next_if(|line| self::depth(line) >= 10) {
                        step.script.push_str(&line[10..]);
                        step.script.push('\n');
                    }
                }
                "run" => step.script = format!("{value}\n"),
                _ => {}
            }
        } else if depth == 10 && is_env {
            step.env.insert(name.to_owned(), value.to_owned());
        }
    }
    let count = text.matches("run: ").count();
    steps.retain(|step| !step.script.is_empty());
    assert_eq!(
        steps.len(),
        count,
        "each step of {workflow} is read: {steps:?}"
    );
    steps
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start().len()
}
