//! The migrations of a running `stagelink dev`: they are applied as their files appear.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use stagelink_tests::stagelink_command;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::dev::Dev;

#[tokio::test]
async fn new_files_are_applied_to_each_stage_and_a_mistake_ends_nothing() {
    let project = tempfile::tempdir().expect("a folder");
    for (path, text) in [
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"functions/*\"]\n",
        ),
        (
            "functions/hello/Cargo.toml",
            "[package]\nname = \"hello\"\nedition = \"2024\"\n",
        ),
        ("functions/hello/src/main.rs", "fn main() {}\n"),
        ("index.html", "hello\n"),
    ] {
        write(project.path(), path, text);
    }
    let path = project.path().to_str().expect("a path");
    let dev = Dev::start(&["--project", path]).await;
    // The folder did not exist before.
    let note = "CREATE TABLE note (id int);\n";
    write(project.path(), "migrations/V1__note.sql", note);
    for stage in ["staging", "production"] {
        assert_applied(project.path(), stage, 1).await;
    }
    // As `migrate new` makes it.
    write(project.path(), "migrations/V2__more.sql", "-- to do\n");
    // A mistake is told, and the file that mends it is applied.
    let wrong = "CREATE TABLE more (id int, other missing_type);\n";
    write(project.path(), "migrations/V2__more.sql", wrong);
    sleep(Duration::from_secs(4)).await;
    assert_applied(project.path(), "staging", 1).await;
    let right = "CREATE TABLE more (id int);\n";
    write(project.path(), "migrations/V2__more.sql", right);
    for stage in ["staging", "production"] {
        assert_applied(project.path(), stage, 2).await;
    }
    drop(dev);
}

fn write(project: &Path, path: &str, text: &str) {
    let path = project.join(path);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

/// Waits until the plan of a local stage shows so many migrations as applied.
async fn assert_applied(project: &Path, stage: &str, expected: u64) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let shown = Command::new(stagelink_command().await)
            .args(["migrate", stage, "--local", "--plan", "--json"])
            .current_dir(project)
            .env_clear()
            .output()
            .await
            .expect("the command runs");
        let plan: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
        if plan["applied_before"] == expected {
            return;
        }
        assert!(Instant::now() < end, "{stage}: {plan}");
        sleep(Duration::from_millis(500)).await;
    }
}
