//! `scripts/deploy`: successful deploys and refusals.

use std::fs;
use std::process::Command;

use stagelink_local::netlify_api::{Context, EnvScope, EnvVar};
use stagelink_tests::root;

use crate::artifacts;
use crate::loopback::only;
use crate::project::Project;
use crate::stages::Stages;
use crate::tools::{self, CliOutput};

#[test]
fn script_deploys_to_the_stage_that_it_prints() {
    let test = async {
        let (stages, project) = linked().await;
        for (options, says, host, stage) in [
            (&[][..], "stage review", None, "review"),
            (
                &["--alias", "staging"][..],
                "stage staging",
                Some("staging--shop.localhost"),
                "staging",
            ),
            (
                &["--prod"][..],
                "stage production",
                Some("shop.localhost"),
                "production",
            ),
        ] {
            let output = deploy(&stages, &project, options).await;
            let newest = stages.newest(&output);
            assert_eq!(newest.title.as_deref(), Some("by the script"));
            assert!(output.stderr.contains(says), "{}", output.stderr);
            let hosting = stages.host().await;
            let own = format!("{}--shop.localhost", newest.id);
            stages
                .answers_as(&hosting, host.unwrap_or(&own), stage)
                .await;
            hosting.stop().await;
        }
        stages.no_secret_was_uploaded();
    };
    only("script::script_deploys_to_the_stage_that_it_prints", test);
}

#[test]
fn script_refuses_misleading_deploys() {
    let test = async {
        let (stages, project) = linked().await;
        let refused = async |options: &[&str], why: &str| {
            let output = deploy(&stages, &project, options).await;
            assert!(
                !output.success && output.stderr.contains(why),
                "{why}: {}",
                output.stderr
            );
        };
        refused(&["--alias", "other"], "STAGELINK_STAGE is not set").await;
        refused(&["--alias", "a", "--prod"], "choose one").await;

        fs::write(project.at("public/new.html"), "new").expect("a file");
        refused(&["--prod"], "in no commit").await;
        let function = project.at("dist/functions/guestbook");
        artifacts::copy_stripped("guestbook", &function);
        refused(&[], "rust_eh_personality").await;
        fs::write(&function, "#!/bin/sh\n").expect("a file");
        refused(&[], "no program for Linux").await;
        fs::remove_file(&function).expect("a file");
        refused(&[], "guestbook is missing").await;

        for (stage, options, why) in [
            ("production", &[][..], "no production deploy"),
            ("production/live", &[], "no production deploy"),
            (
                "staging/qa",
                &["--prod", "--dirty"],
                "STAGELINK_STAGE is staging/qa for",
            ),
        ] {
            let everywhere = EnvVar::new("STAGELINK_STAGE")
                .value(Context::All, stage)
                .scopes([EnvScope::Functions]);
            let set = stages.netlify.set_variable("shop", everywhere);
            set.expect("a variable");
            refused(options, why).await;
        }
        assert!(stages.netlify.deploys().is_empty());
    };
    only("script::script_refuses_misleading_deploys", test);
}

/// Returns a project with the script that is linked to its site.
async fn linked() -> (Stages, Project) {
    let (stages, project) = (Stages::new().await, with_script());
    project.link(&stages.site);
    (stages, project)
}

/// Returns a project with the script, all of it committed.
fn with_script() -> Project {
    let project = Project::new();
    fs::create_dir_all(project.at("scripts")).expect("a folder");
    let script = "scripts/deploy";
    fs::copy(root().join(script), project.at(script)).expect("the script");
    for name in artifacts::NAMES {
        let folder = project.at("functions").join(name);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("Cargo.toml"), "").expect("a file");
    }
    fs::write(project.at(".gitignore"), "/dist\n/.home\n/.netlify\n").expect("a file");
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=Test",
            "-c",
            "user.email=test@stagelink.example",
        ],
    ] {
        let mut git = Command::new("git");
        git.current_dir(project.path()).args(arguments);
        if arguments[0] == "-c" {
            git.args(["commit", "--quiet", "--message", "all"]);
        }
        assert!(git.status().expect("git runs").success());
    }
    project
}

/// Returns the script with existing artifacts.
async fn deploy(stages: &Stages, project: &Project, options: &[&str]) -> CliOutput {
    let mut environment = tools::environment(project.path(), Some(&stages.netlify));
    for (name, value) in &mut environment {
        if name == "PATH" {
            *value = format!("{}:{value}", tools::programs().display());
        }
    }
    let mut command = Command::new("scripts/deploy");
    command
        .current_dir(project.path())
        .args(options)
        .args(["--no-build", "--", "--message", "by the script"])
        .env_clear()
        .envs(environment);
    tools::run(command).await
}
