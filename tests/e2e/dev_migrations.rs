//! The migrations of a running `stagelink dev`: they are applied as their files appear.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use stagelink_tests::{SmallProject, stagelink_command};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::dev::Dev;

#[tokio::test]
async fn new_files_are_applied_to_each_stage_and_a_mistake_ends_nothing() {
    let project = SmallProject::with(&[]);
    let dev = Dev::start(&["--project", project.path()]).await;
    // The folder did not exist before.
    let note = "CREATE TABLE note (id int);\n";
    project.write("migrations/V1__note.sql", note);
    for stage in ["staging", "production"] {
        assert_applied(project.root(), stage, 1).await;
    }
    // As `migrate new` makes them; the later one keeps back no earlier file.
    project.write("migrations/V2__more.sql", "-- to do\n");
    project.write("migrations/V3__last.sql", "-- to do\n");
    // A mistake is told, and the file that mends it is applied.
    let wrong = "CREATE TABLE more (id int, other missing_type);\n";
    project.write("migrations/V2__more.sql", wrong);
    sleep(Duration::from_secs(4)).await;
    assert_applied(project.root(), "staging", 1).await;
    let right = "CREATE TABLE more (id int);\n";
    project.write("migrations/V2__more.sql", right);
    for stage in ["staging", "production"] {
        assert_applied(project.root(), stage, 2).await;
    }
    // It is applied here, and the log has the decision of a deployed stage with its reason.
    let code = "DO $$ BEGIN PERFORM 1; END $$;\n";
    project.write("migrations/V3__last.sql", code);
    for stage in ["staging", "production"] {
        assert_applied(project.root(), stage, 3).await;
    }
    let log = dev.log();
    let decision = "V3__last.sql: a deployed stage refuses it\n";
    let (_, after) = log.split_once(decision).unwrap_or_else(|| panic!("{log}"));
    let reason = after.lines().next().unwrap_or_default();
    assert!(reason.contains("runs-code"), "{log}");
    drop(dev);
}

/// As `migrate new` makes it; and a database that is new needs what is before it.
#[tokio::test]
async fn file_without_a_statement_at_the_start_leaves_those_before_it_and_is_applied_later() {
    let project = SmallProject::with(&[
        ("migrations/V1__note.sql", "CREATE TABLE note (id int);\n"),
        ("migrations/V2__more.sql", "-- to do\n"),
        ("migrations/V3__last.sql", "CREATE TABLE last (id int);\n"),
    ]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let shown = Command::new(stagelink_command().await)
        .args(["status", "--local", "--json"])
        .current_dir(project.root())
        .env_clear()
        .output()
        .await
        .expect("the command runs");
    let board: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    for stage in board["stages"].as_array().expect("stages") {
        let applied = &stage["migrations"]["value"]["applied"];
        assert_eq!(applied, &serde_json::json!(["V1__note"]), "{board}");
    }
    project.write("migrations/V2__more.sql", "CREATE TABLE more (id int);\n");
    for stage in ["staging", "production"] {
        assert_applied(project.root(), stage, 3).await;
    }
    // Functions of `dev` require a mark; what is only shown needs none.
    local(project.root(), &["mark", "remove", "staging"]).await;
    let board = local(project.root(), &["status", "staging"]).await;
    let served = "as `stagelink dev` serves it";
    for words in [
        "mark set --stage staging --local`",
        "3 applied",
        served,
        "staging.localhost:",
    ] {
        assert!(board.contains(words), "{board}");
    }
    // The variables are those of the local Netlify, which `link --local` sets.
    let list = local(project.root(), &["env", "staging"]).await;
    assert!(list.contains("branch:staging"), "{list}");
    // What refuses advises a command for the local clouds, too.
    let refused = Command::new(stagelink_command().await)
        .args(["psql", "staging", "--local", "--", "-c", "SELECT 1"])
        .current_dir(project.root())
        .env_clear()
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .expect("the command runs");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    let words = "`stagelink mark set --stage staging --local`";
    assert!(text.contains(words), "{text}");
    drop(dev);
}

/// Runs a command on the local clouds, and returns its output.
async fn local(project: &Path, words: &[&str]) -> String {
    let output = Command::new(stagelink_command().await)
        .args(words)
        .args(["--local"])
        .current_dir(project)
        .env_clear()
        .env("COLUMNS", "120")
        .output()
        .await
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {text}{errors}");
    text
}

/// Waits until `status` shows so many migrations as applied to a local stage.
async fn assert_applied(project: &Path, stage: &str, expected: usize) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let shown = Command::new(stagelink_command().await)
            .args(["status", stage, "--local", "--json"])
            .current_dir(project)
            .env_clear()
            .output()
            .await
            .expect("the command runs");
        let board: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
        let applied = &board["stages"][0]["migrations"]["value"]["applied"];
        if applied
            .as_array()
            .is_some_and(|applied| applied.len() == expected)
        {
            return;
        }
        assert!(Instant::now() < end, "{stage}: {board}");
        sleep(Duration::from_millis(500)).await;
    }
}
