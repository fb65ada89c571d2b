//! Errors of all commands: their exit codes, and their form as JSON.

use std::ffi::OsStr;
use std::fs;
use std::process::Stdio;

use stagelink_tests::stagelink_command;
use tokio::process::Command;

use super::{project, run};

#[tokio::test]
async fn error_is_a_line_of_json_where_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, words) in [
        (
            &["mark", "show", "--stage", "bogus", "--json"][..],
            "unknown stage \"bogus\"",
        ),
        (
            &["mark", "set", "--local", "staging", "--json"],
            "no `stagelink dev` runs",
        ),
        (
            &["link", "--local=77", "--json"],
            "no `stagelink dev` runs at port 77",
        ),
        (&["link", "--json"], "settings are missing"),
        (
            &["credentials", "--stage", "bogus", "--json"],
            "unknown stage \"bogus\"",
        ),
        (
            &["credentials", "--local", "--json"],
            "no `stagelink dev` runs",
        ),
    ] {
        let output = run(stagelink_command().await, arguments, folder.path()).await;
        // What was named is not there: the arguments are wrong.
        let is_of_arguments = ["unknown stage", "no `stagelink dev` runs"]
            .iter()
            .any(|start| words.starts_with(start));
        let code = if is_of_arguments { 2 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let error = json["error"].as_str().expect("an error");
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn wrong_arguments_have_the_exit_code_of_the_parser_in_each_command() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, code) in [
        (&["mark", "show", "bogus"][..], 2),
        (&["mark", "set", "--stage", "bogus"], 2),
        (&["mark", "remove"], 2),
        (&["mark", "show", "--bogus"], 2),
        (&["mark", "show", "staging"], 1),
        (&["credentials", "--stage", "bogus"], 2),
        (&["credentials"], 2),
        (&["credentials", "--stage", "staging"], 1),
        (&["link", "bogus"], 2),
        (&["link", "--stage", "bogus"], 2),
        (&["link", "--app", "staging"], 2),
        (&["link", "--app", "development=a"], 2),
        (&["link", "--token-for", "staging=secret"], 2),
        (&["link"], 1),
        (&["migrate", "bogus"], 2),
        (&["migrate"], 2),
        (&["migrate", "new", "x", "--project", "nosuch"], 2),
        (&["migrate", "widen-history", "bogus"], 2),
        (&["psql", "bogus"], 2),
        (&["history", "bogus"], 2),
        (&["rollback", "bogus"], 2),
        (&["promote", "--from", "bogus"], 2),
        (&["promote", "--to", "bogus"], 2),
        (&["needs", "--stage", "bogus"], 2),
        (&["env", "bogus"], 2),
        (&["status", "--stage", "bogus"], 2),
        // Each command takes the stage in both ways, and one of them at a time.
        (&["credentials", "staging"], 1),
        (&["migrate", "--stage", "staging"], 1),
        (&["migrate", "staging", "--stage", "staging"], 2),
        (&["migrate", "drift", "--stage", "bogus"], 2),
        (&["migrate", "widen-history", "--stage", "bogus"], 2),
        (&["psql", "--stage", "bogus"], 2),
        (&["psql"], 2),
        (&["env", "--stage", "bogus"], 2),
        (&["doctor", "--stage", "bogus"], 2),
        // No `stagelink dev` runs here.
        (&["migrate", "staging", "--local"], 2),
        (&["mark", "show", "staging", "--local"], 2),
        (&["credentials", "staging", "--local"], 2),
        (&["link", "--local"], 2),
        (&["needs", "--stage", "staging", "--local"], 2),
        (&["status", "--local"], 2),
        (&["doctor", "--local"], 2),
        (&["psql", "staging", "--local"], 2),
        (&["doctor", "bogus"], 2),
    ] {
        let migrations = folder.path().join("migrations");
        if arguments[0] == "migrate" && !arguments.contains(&"new") {
            fs::create_dir_all(&migrations).expect("a folder");
        } else if migrations.exists() {
            fs::remove_dir(&migrations).expect("it is empty");
        }
        let output = run(stagelink_command().await, arguments, folder.path()).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains("error: "), "{arguments:?}: {stderr}");
    }
    assert!(!folder.path().join("nosuch").exists());
}

#[tokio::test]
async fn settings_file_that_cannot_be_used_has_one_exit_code_in_each_command() {
    let folder = tempfile::tempdir().expect("a folder");
    for part in ["functions", "migrations"] {
        fs::create_dir(folder.path().join(part)).expect("a folder");
    }
    fs::write(folder.path().join("stagelink.toml"), "nonsense = 1\n").expect("a file");
    for arguments in [
        &["status"][..],
        &["doctor"],
        &["history"],
        &["env", "staging"],
        &["psql", "staging"],
        &["migrate", "staging"],
        &["migrate", "drift", "staging"],
        &["migrate", "widen-history", "staging"],
        &["mark", "show", "staging"],
        &["credentials", "staging"],
        &["link"],
        &["deploy", "staging"],
        &["promote"],
        &["rollback"],
        &["dev"],
        &["drill"],
    ] {
        let output = run(stagelink_command().await, arguments, folder.path()).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        // Its details are shown, although it is marked as an error of usage.
        assert!(stderr.contains("nonsense"), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn command_whose_output_is_closed_fails_and_does_not_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut new = Command::new(stagelink_command().await);
    new.args(["new", "shop"]).current_dir(folder.path());
    // `output` would replace the closed one.
    let child = new.stdout(closed()).stderr(Stdio::piped()).spawn();
    let output = child.expect("it starts").wait_with_output().await;
    let output = output.expect("an end");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let expected = "error: could not write to standard output\n  because: Broken pipe";
    // The progress comes before it.
    assert!(stderr.contains(expected), "{stderr}");
    assert!(folder.path().join("shop/Cargo.toml").is_file());

    // Progress, a warning of netlify.toml, the log and the error itself go to standard error.
    let project = project();
    fs::write(project.root().join("netlify.toml"), "[unknown]\n").expect("a file");
    for arguments in [
        &["dev", "--postgres", "local:/nonexistent"][..],
        &["-vvvv", "new", "shop"],
    ] {
        let mut command = Command::new(stagelink_command().await);
        command.args(arguments).current_dir(project.root());
        command.stdout(Stdio::null()).stderr(closed());
        let status = command.status().await.expect("it runs");
        let expected = if arguments.contains(&"new") { 0 } else { 1 };
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
}

/// Returns an output whose reader is gone.
fn closed() -> Stdio {
    let (_, writer) = std::io::pipe().expect("a pipe");
    writer.into()
}

#[tokio::test]
async fn argument_that_is_no_text_is_an_error_that_shows_it() {
    use std::os::unix::ffi::OsStrExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let name = OsStr::from_bytes(b"sh\xffop");
    let output = run(
        stagelink_command().await,
        &[OsStr::new("new"), name],
        folder.path(),
    )
    .await;
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("invalid UTF-8"), "{stderr}");
}
