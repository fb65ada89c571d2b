//! The migrations of a running `stagelink dev`: they are applied as their files appear.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stagelink_pipeline::{MigrationFolder, MigrationList};
use stagelink_tests::{SmallProject, stagelink_command};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::dev::{Dev, remove_volume};
use crate::history::Deploy;

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

/// The code that was deployed goes on running, as on a real stage, and keeps what it needs until other
/// code is deployed.
#[tokio::test]
async fn file_of_after_waits_on_a_stage_with_a_deploy() {
    let table = "CREATE TABLE note (id int, words text);\n";
    let project = SmallProject::with(&[("migrations/V1__note.sql", table)]);
    let dev = Dev::start(&["--project", project.path()]).await;
    record_deploy(&project, "0123456789abcdef").await;
    let drop_column = "ALTER TABLE note DROP COLUMN words;\n";
    project.write("migrations/V2__drop.sql", drop_column);
    // Nothing is deployed to production.
    assert_applied(project.root(), "production", 2).await;
    let advice = "V2__drop waits on staging: code that was deployed there may need what the migration \
                  changes; deploy code that does not, then `stagelink migrate staging --after --local`";
    until_logged(&dev, advice).await;
    let (is_done, text) = try_local(project.root(), &["migrate", "staging", "--after"]).await;
    assert!(
        !is_done && text.contains("artifact 0123456789ab runs since "),
        "{text}"
    );
    // A file that a deployed stage refuses can be mended here, since it is not applied.
    project.write(
        "migrations/V3__code.sql",
        "DO $$ BEGIN PERFORM 1; END $$;\n",
    );
    until_logged(&dev, "V3__code.sql line 1: ").await;
    assert_applied(project.root(), "staging", 1).await;
    std::fs::remove_file(project.root().join("migrations/V3__code.sql")).expect("the file");
    // It was built with the file, and there is no window in which the one before could come back.
    record_deploy(&project, "fedcba9876543210").await;
    local(project.root(), &["migrate", "staging", "--after"]).await;
    assert_applied(project.root(), "staging", 2).await;
    drop(dev);
}

/// The deploys of the local Netlify end with `stagelink dev`, so no code of theirs runs in the next run.
#[tokio::test]
async fn records_of_deploys_in_kept_data_are_removed() {
    let table = "CREATE TABLE note (id int, words text);\n";
    let project = SmallProject::with(&[("migrations/V1__note.sql", table)]);
    let data = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a folder");
    let folder = data.path().join("kept");
    let kept = folder.to_str().expect("a path");
    let arguments = ["--project", project.path(), "--data", kept];
    let dev = Dev::start(&arguments).await;
    record_deploy(&project, "0123456789abcdef").await;
    let history = local(project.root(), &["history", "staging"]).await;
    assert!(history.contains("0123456789ab"), "{history}");
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));

    project.write(
        "migrations/V2__drop.sql",
        "ALTER TABLE note DROP COLUMN words;\n",
    );
    let dev = Dev::start(&arguments).await;
    assert_applied(project.root(), "staging", 2).await;
    let history = local(project.root(), &["history", "staging"]).await;
    assert!(history.contains("no deploy is recorded"), "{history}");
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
    remove_volume(&folder).await;
}

#[tokio::test]
async fn wait_for_another_session_is_told() {
    let table = "CREATE TABLE note (id int);\n";
    let project = SmallProject::with(&[("migrations/V1__note.sql", table)]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let lock = "BEGIN; LOCK TABLE note; SELECT 'it is ' || 'locked', pg_sleep(600)";
    let mut holder = psql(&project, lock).await;
    let mut holder = holder.kill_on_drop(true).spawn().expect("it starts");
    let holds = "FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
                 AND relation = 'note'::regclass";
    let is_held = format!("SELECT 1 / count(*) {holds}");
    let end_holder = format!("SELECT pg_terminate_backend(pid, 10000) {holds}");
    let succeeds = async |sql: &str| {
        let status = psql(&project, sql).await.status().await;
        status.expect("it runs").success()
    };
    let end = Instant::now() + Duration::from_secs(60);
    while !succeeds(&is_held).await {
        assert!(Instant::now() < end, "the table is not locked");
    }
    project.write(
        "migrations/V2__more.sql",
        "ALTER TABLE note ADD COLUMN more int;\n",
    );
    until_logged(&dev, "migrations: staging: V2__more: ").await;
    assert!(succeeds(&end_holder).await);
    holder.wait().await.expect("it ends");
    assert_applied(project.root(), "staging", 2).await;
    drop(dev);
}

/// Records a deploy to staging whose function was built with the files that the project has now.
async fn record_deploy(project: &SmallProject, artifact: &str) {
    let folder = MigrationFolder::read(&project.root().join("migrations")).expect("the files");
    let list = MigrationList::of(&folder);
    let deploy = Deploy {
        stage: "staging",
        artifact,
        age: "0 s",
        outcome: "succeeded",
        functions: json!({ "hello": { "migrations": list.migrations() } }),
    };
    let recorded = psql(project, &deploy.sql()).await.status().await;
    assert!(recorded.expect("it runs").success());
}

/// Returns the command that runs SQL on the local staging.
async fn psql(project: &SmallProject, sql: &str) -> Command {
    let mut command = Command::new(stagelink_command().await);
    command
        .args(["psql", "staging", "--local", "--", "-c", sql])
        .current_dir(project.root())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    command
}

/// Waits until the log of `stagelink dev` has these words.
async fn until_logged(dev: &Dev, words: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !dev.log().contains(words) {
        assert!(Instant::now() < end, "{words}: {}", dev.log());
        sleep(Duration::from_millis(200)).await;
    }
}

/// Runs a command on the local clouds, and returns its output.
async fn local(project: &Path, words: &[&str]) -> String {
    let (is_done, text) = try_local(project, words).await;
    assert!(is_done, "{words:?}: {text}");
    text
}

/// Runs a command on the local clouds; returns whether it ended well, and all of its output.
async fn try_local(project: &Path, words: &[&str]) -> (bool, String) {
    let output = Command::new(stagelink_command().await)
        .args(words)
        .args(["--local"])
        .current_dir(project)
        .env_clear()
        .env("COLUMNS", "120")
        .output()
        .await
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), format!("{text}{errors}"))
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
