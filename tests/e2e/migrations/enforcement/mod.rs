//! The classes of files as `stagelink migrate` enforces them: before, after, stop, ask, and overrides.

mod after;
mod databases;
mod refused;

use std::process::Output;

use super::Project;

pub(super) async fn run(project: &Project, arguments: &[&str]) -> Output {
    let output = project.command(arguments).await.output().await;
    output.expect("the command runs")
}

pub(super) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the command, which has to succeed, and returns its standard output.
pub(super) async fn succeeds(project: &Project, arguments: &[&str]) -> String {
    let output = run(project, arguments).await;
    let (out, error) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {out}{error}");
    out
}

/// Runs the command, which has to fail, and returns its standard error.
pub(super) async fn fails(project: &Project, arguments: &[&str]) -> String {
    fails_with(project, arguments, 1).await
}

pub(super) async fn fails_with(project: &Project, arguments: &[&str], code: i32) -> String {
    let output = run(project, arguments).await;
    let (out, error) = (stdout(&output), stderr(&output));
    let found = output.status.code();
    assert_eq!(found, Some(code), "{arguments:?}: {out}{error}");
    error
}

pub(super) fn assert_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// Makes a project whose database has two tables, the first of which is not small.
pub(super) async fn shop() -> Project {
    let project = Project::with(&[(
        "V1__shop.sql",
        "CREATE TABLE big AS SELECT n AS id, n AS a, repeat('x', 100) AS b \
         FROM generate_series(1, 20000) n; \
         CREATE TABLE small (id int, a int, b int); ANALYZE;",
    )])
    .await;
    succeeds(&project, &["staging", "--yes"]).await;
    project
}
