//! The workflows of a new project: each of their steps runs as GitHub's runner would run it.

mod workflow;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use stagelink_tests::{root, run_command, stagelink_command};
use tokio::process::Command;

use self::workflow::{RunStep, run_steps};
use super::{SITE, Shop};

/// A shop whose repository has the workflows and scripts of a new project.
struct Repository {
    shop: Shop,
    steps: Vec<RunStep>,
    /// The variables, secrets, inputs and outputs that an expression of a workflow may name.
    context: BTreeMap<String, String>,
    bin: PathBuf,
    /// The steps that ran.
    ran: BTreeSet<String>,
}

/// The result of a job.
#[derive(Debug)]
struct Left {
    code: Option<i32>,
    printed: String,
    summary: String,
}

impl Repository {
    async fn new() -> Self {
        let shop = Shop::new().await;
        let folder = shop.project.folder.path().to_owned();
        let elsewhere = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(stagelink_command().await);
        command.args(["new", "shop"]).current_dir(elsewhere.path());
        run_command(&mut command).await;
        let made = elsewhere.path().join("shop");
        for part in [".github", "scripts"] {
            fs::rename(made.join(part), folder.join(part)).expect("a part of the project");
        }
        let bin = folder.join(".cache/bin");
        write_cargo(&bin, stagelink_command().await);
        shop.git(&["branch", "--move", "main"]);
        let mut steps = Vec::new();
        for name in ["site", "promote", "rollback"] {
            let path = folder.join(format!(".github/workflows/{name}.yml"));
            let text = fs::read_to_string(path).expect("a workflow");
            steps.extend(run_steps(name, &text));
        }
        let project = &shop.project;
        let context = [
            ("vars.NETLIFY_SITE", SITE),
            ("secrets.HEROKU_API_KEY", project.heroku.api_key()),
            ("secrets.NETLIFY_AUTH_TOKEN", project.netlify.token()),
            ("inputs.deploy", ""),
        ];
        let context = context.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            steps,
            context: context.into(),
            bin,
            ran: BTreeSet::new(),
            shop,
        }
    }

    /// Runs the steps of a job, until one fails.
    async fn run(&mut self, workflow: &str, job: &str) -> Left {
        let files = tempfile::tempdir().expect("a folder");
        let (output, summary) = (files.path().join("output"), files.path().join("summary"));
        let mut left = Left {
            code: Some(0),
            printed: String::new(),
            summary: String::new(),
        };
        let steps: Vec<_> = self
            .steps
            .iter()
            .filter(|step| step.workflow == workflow && step.job == job)
            .cloned()
            .collect();
        assert!(!steps.is_empty(), "{workflow} has no job {job}");
        for step in steps {
            fs::write(&output, "").expect("a file");
            fs::write(&summary, "").expect("a file");
            let mut command = self.command(&step, files.path());
            command
                .env("GITHUB_OUTPUT", &output)
                .env("GITHUB_STEP_SUMMARY", &summary);
            let ended = command.output().await.expect("a shell");
            self.ran.insert(step.to_string());
            left.code = ended.status.code();
            for bytes in [&ended.stdout, &ended.stderr] {
                left.printed.push_str(&String::from_utf8_lossy(bytes));
            }
            left.summary
                .push_str(&fs::read_to_string(&summary).expect("a file"));
            for line in fs::read_to_string(&output).expect("a file").lines() {
                let (name, value) = line.split_once('=').expect("NAME=VALUE");
                let id = step.id.as_deref().expect("the step has an id");
                self.context
                    .insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
            }
            let kept = &self.shop.project.record;
            kept.add(&left.printed);
            kept.add(&left.summary);
            kept.text();
            if left.code != Some(0) {
                break;
            }
        }
        left
    }

    /// Hands the outputs of a job on to those that need it, as `outputs:` says.
    fn hand_on(&mut self, job: &str, name: &str) {
        let value = self.context.get(&format!("steps.{job}.outputs.{name}"));
        let value = value.expect("the output is there").clone();
        self.context
            .insert(format!("needs.{job}.outputs.{name}"), value);
    }

    /// A step, with nothing of the operator's in its environment but what the workflow gives.
    fn command(&self, step: &RunStep, folder: &Path) -> Command {
        // As GitHub documents its shells.
        let arguments: &[_] = match step.shell.as_deref() {
            None => &["-e"],
            Some("bash") => &["--noprofile", "--norc", "-eo", "pipefail"],
            Some(other) => panic!("{step}: an unknown shell {other}"),
        };
        let script = folder.join("step.sh");
        fs::write(&script, self.evaluate(&step.script)).expect("a file");
        let project = &self.shop.project;
        let mut command = Command::new("bash");
        command.args(arguments).arg(script);
        command
            .current_dir(project.folder.path())
            .env_clear()
            .stdin(Stdio::null());
        let of_machine = project.variables.iter();
        // Where the clouds and the compilers are, which is nothing that a workflow has to say.
        let of_machine = of_machine.filter(|(name, _)| {
            !["HEROKU_API_KEY", "NETLIFY_AUTH_TOKEN", "NETLIFY_SITE_ID"].contains(&name.as_str())
        });
        command
            .envs(of_machine)
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true");
        let path = std::env::var("PATH").expect("a PATH");
        let compilers = Path::new(env!("CARGO")).parent().expect("a folder");
        let path = format!("{}:{}:{path}", self.bin.display(), compilers.display());
        command.env("PATH", path);
        for (name, value) in &step.env {
            command.env(name, self.evaluate(value));
        }
        command
    }

    /// Replaces the expressions of a text. One that this does not know is a mistake.
    fn evaluate(&self, text: &str) -> String {
        let mut parts = text.split("${{");
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (expression, rest) = part.split_once("}}").expect("an end of the expression");
            let name = expression.trim();
            let value = self.context.get(name);
            result.push_str(value.unwrap_or_else(|| panic!("an unknown expression {name}")));
            result.push_str(rest);
        }
        result
    }
}

/// Writes a `cargo` that finds the command as it is built, and programs that are built already.
fn write_cargo(bin: &Path, command: &Path) {
    fs::create_dir_all(bin).expect("a folder");
    let programs = bin.join("stagelink-without-a-build");
    let script = |name: &Path, text: String| {
        fs::write(name, text).expect("a file");
        fs::set_permissions(name, fs::Permissions::from_mode(0o755)).expect("its rights");
    };
    let command = command.display();
    script(
        &programs,
        format!(
            "#!/bin/sh\ncase \"$1\" in\ndeploy) exec '{command}' \"$@\" --no-build ;;\n*) exec '{command}' \
             \"$@\" ;;\nesac\n"
        ),
    );
    let metadata = format!(
        "{{\"manifest_path\":\"{}/sdk/Cargo.toml\"}}",
        root().display()
    );
    script(
        &bin.join("cargo"),
        format!(
            "#!/bin/sh\ncase \"$*\" in\n'metadata --format-version 1'*) echo '{metadata}' ;;\n\
             'metadata --no-deps --format-version 1') echo '{{\"target_directory\":\"{target}\"}}' ;;\n\
             *'build '*'--package stagelink-cli'*) mkdir -p '{target}/debug' && ln -sf '{}' \
             '{target}/debug/stagelink' ;;\n*) exec '{}' \"$@\" ;;\nesac\n",
            programs.display(),
            env!("CARGO"),
            target = bin.join("command").display(),
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_the_workflows_test_deploy_promote_and_take_back() {
    let mut repository = Repository::new().await;
    let first = repository.shop.published().id;
    let cargo = Command::new(env!("CARGO"))
        .args(["generate-lockfile", "--offline"])
        .current_dir(repository.shop.project.folder.path())
        .status()
        .await;
    assert!(cargo.expect("cargo runs").success());

    // A push: tests, and a deploy to staging.
    repository
        .shop
        .project
        .write("public/index.html", "<h1>pushed</h1>\n");
    repository.shop.commit("pushed");
    for job in ["test", "staging"] {
        let left = repository.run("site", job).await;
        assert_eq!(left.code, Some(0), "{job}: {}", left.printed);
    }
    assert_eq!(repository.shop.published().id, first);

    // The button: the plan changes nothing, and its summary shows it.
    let plan = repository.run("promote", "plan").await;
    assert_eq!(plan.code, Some(0), "{}", plan.printed);
    for part in ["## Promotion to production", "```text", SITE] {
        assert!(plan.summary.contains(part), "{part}: {}", plan.summary);
    }
    assert_eq!(repository.shop.published().id, first);
    repository.hand_on("plan", "artifact");
    // Staging gets another artifact before the approval: what was approved is not there any more.
    repository.shop.deploy_next("later", None).await;
    let late = repository.run("promote", "production").await;
    assert_eq!(late.code, Some(1), "{}", late.printed);
    assert!(
        late.printed.contains("look at the plan again"),
        "{}",
        late.printed
    );
    assert_eq!(repository.shop.published().id, first);
    repository.run("promote", "plan").await;
    repository.hand_on("plan", "artifact");
    let promoted = repository.run("promote", "production").await;
    assert_eq!(promoted.code, Some(0), "{}", promoted.printed);
    assert_eq!(repository.shop.page().await, "<h1>later</h1>\n");

    // Back, to the deploy before and to one that is named.
    let second = repository.shop.published().id;
    for (input, expected) in [(String::new(), &first), (second.clone(), &second)] {
        repository.context.insert("inputs.deploy".to_owned(), input);
        let plan = repository.run("rollback", "plan").await;
        assert_eq!(plan.code, Some(0), "{}", plan.printed);
        let heading = "## Rollback of production";
        assert!(
            plan.summary.contains(heading) && plan.summary.contains(expected),
            "{}",
            plan.summary
        );
        repository.hand_on("plan", "deploy");
        let back = repository.run("rollback", "production").await;
        assert_eq!(back.code, Some(0), "{}", back.printed);
        assert_eq!(&repository.shop.published().id, expected);
    }
    // A plan that fails has no output, and its job fails.
    repository
        .context
        .insert("inputs.deploy".to_owned(), "none".to_owned());
    let refused = repository.run("rollback", "plan").await;
    assert_eq!(
        (refused.code, refused.summary.as_str()),
        (Some(1), ""),
        "{}",
        refused.printed
    );

    let all: BTreeSet<_> = repository.steps.iter().map(ToString::to_string).collect();
    assert_eq!(repository.ran, all, "each step was run");
}
