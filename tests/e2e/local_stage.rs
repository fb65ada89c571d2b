//! The stage of a command with `--local`: the one that is named, and never that of the environment.

use std::process::Output;

use stagelink_tests::{SmallProject, stagelink_command};
use tokio::process::Command;

use crate::dev::Dev;

const SETTINGS: &str = "heroku.pipeline = \"shop\"\n[drill]\nread = \"/index.html\"\n";

/// Runs a command on the project's local clouds, in an environment that names production.
async fn run(project: &SmallProject, words: &[&str]) -> Output {
    let mut command = Command::new(stagelink_command().await);
    command
        .current_dir(project.root())
        .args(words)
        .arg("--local")
        .env("STAGELINK_STAGE", "production");
    command.output().await.expect("the command runs")
}

#[tokio::test]
async fn stage_of_the_environment_does_not_count_with_local() {
    let stages = format!("{SETTINGS}[stages.review]\n[stages.staging]\n[stages.production]\n");
    let notes = "CREATE TABLE notes (id int8 PRIMARY KEY);\n";
    let project = SmallProject::with(&[
        ("stagelink.toml", &stages),
        ("migrations/V1__notes.sql", notes),
    ]);
    let dev = Dev::start(&["--project", project.path()]).await;
    for words in [
        &["mark", "show"][..],
        &["credentials"],
        &["migrate", "--plan"],
        &["migrate", "drift"],
    ] {
        let output = run(&project, words).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
        assert!(
            stderr.contains("name the local stage with --stage: "),
            "{words:?}: {stderr}"
        );
        assert!(
            stderr.contains("STAGELINK_STAGE of the environment does not count"),
            "{stderr}"
        );
    }
    // Only what runs is offered: a preview's stage does not.
    let output = run(&project, &["psql"]).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.ends_with("the stage is production or staging\n"),
        "{stderr}"
    );
    // A port is no stage.
    for words in [
        &["status", "9100"][..],
        &["mark", "show", "9100"],
        &["mark", "show", "staging", "9100"],
        &["drill", "9100"],
    ] {
        let output = run(&project, words).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
        assert!(stderr.contains("--local=9100"), "{words:?}: {stderr}");
    }
    let output = run(&project, &["mark", "show", "staging"]).await;
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("staging"),
        "{stdout}"
    );
    assert!(!stdout.contains("production"), "{stdout}");
    drop(dev);

    // The only stage needs no name.
    let stages = format!("{SETTINGS}[stages.staging]\n");
    project.write("stagelink.toml", &stages);
    let dev = Dev::start(&["--project", project.path()]).await;
    let output = run(&project, &["mark", "show"]).await;
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("staging"),
        "{stdout}"
    );
    drop(dev);
}
