//! A signal that ends a command ends what it has started, too.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stagelink_local_postgres::Database;
use stagelink_tests::{
    SmallProject, assert_all_end, command_line, descendants, descendants_where, descendants_with,
    is_running, root, send as request, server, stagelink_command,
};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::dev::Dev;
use crate::status::{Project, is_psql};

/// A session that waits for its standard input, and one with a running statement.
#[tokio::test]
async fn psql_ends_with_the_command_and_its_connection_with_it() {
    let project = Project::new().await;
    project.mark().await;
    let statement = ["psql", "staging", "--", "-Xc", "SELECT pg_sleep(600)"];
    for (words, signal) in [
        (&["psql", "staging", "--", "-X"][..], Signal::SIGTERM),
        (&["psql", "staging", "--", "-X"], Signal::SIGHUP),
        (&["psql", "staging", "--read-only"], Signal::SIGTERM),
        (&statement, Signal::SIGTERM),
    ] {
        let mut command = project.command(words).await;
        let mut child = start(command.stdin(Stdio::piped()));
        // Another psql asks beforehand whether a session would be read-only.
        descendants_where(id(&child), "psql", |line| {
            is_psql(line) && !line.contains("SHOW")
        })
        .await;
        assert_sessions(&project.staging, 1).await;
        let family = descendants(id(&child));
        assert!(!family.is_empty(), "{words:?}");
        send(&child, signal);
        assert_eq!(code(&mut child).await, 128 + signal as i32, "{words:?}");
        assert_all_end(&family).await;
        // The server notices the end of a session that waits; it goes on with a statement.
        if words != statement {
            assert_sessions(&project.staging, 0).await;
        }
    }
}

/// As `nohup stagelink dev &` in a script, whose terminal is closed.
#[tokio::test(flavor = "multi_thread")]
async fn site_goes_on_where_the_end_of_its_terminal_is_ignored_and_ends_by_ctrl_c() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' INT HUP; exec \"$0\" \"$@\""]);
    command.arg(stagelink_command().await).arg("dev");
    command.current_dir(root());
    let dev = Dev::start_by(command).await;
    kill(Pid::from_raw(dev.pid()), Signal::SIGHUP).expect("a signal");
    // It would be gone by then.
    sleep(Duration::from_secs(2)).await;
    let url = dev.stage("staging")["url"].as_str().expect("a URL");
    assert_eq!(request("GET", url, &[], "").await.status, 200);
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn interrupt_is_left_to_psql_which_gets_it_from_the_terminal_too() {
    let project = Project::new().await;
    project.mark().await;
    let mut command = project.command(&["psql", "staging", "--", "-X"]).await;
    let mut child = start(command.stdin(Stdio::piped()));
    assert_sessions(&project.staging, 1).await;
    let family = descendants(id(&child));
    send(&child, Signal::SIGINT);
    sleep(Duration::from_millis(300)).await;
    assert!(family.iter().all(|pid| is_running(*pid)));
    // The end of its input ends psql.
    drop(child.stdin.take());
    assert_eq!(code(&mut child).await, 0);
}

/// As `nohup` starts a command.
#[tokio::test]
async fn hangup_that_was_ignored_from_the_start_ends_nothing() {
    let project = Project::new().await;
    project.mark().await;
    let own = project.command(&[]).await;
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' HUP; exec \"$0\" psql staging -- -X"])
        .arg(stagelink_command().await)
        .current_dir(project.folder.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in own.as_std().get_envs() {
        command.env(name, value.expect("a value"));
    }
    let mut child = start(&mut command);
    assert_sessions(&project.staging, 1).await;
    let family = descendants(id(&child));
    send(&child, Signal::SIGHUP);
    sleep(Duration::from_millis(300)).await;
    assert!(family.iter().all(|pid| is_running(*pid)));
    send(&child, Signal::SIGTERM);
    assert_eq!(code(&mut child).await, 143);
    assert_all_end(&family).await;
}

#[tokio::test]
async fn psql_that_does_not_end_is_killed() {
    let mut project = Project::new().await;
    project.mark().await;
    project.replace_psql_with("trap '' TERM HUP; exec sleep 600");
    let mut command = project.command(&["psql", "staging"]).await;
    let mut child = start(command.stdin(Stdio::null()));
    let family = descendants_with(id(&child), "sleep 600").await;
    send(&child, Signal::SIGTERM);
    assert_eq!(code(&mut child).await, 137);
    assert_all_end(&family).await;
}

/// Cargo does not end what it has started: a compiler, or as here a build script.
#[tokio::test]
async fn build_ends_with_cargo_and_its_build_scripts() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let project = slow_to_build();
        let mut child = start(&mut command(&project, &["build"]).await);
        let family = descendants_with(id(&child), "build-script-build").await;
        send(&child, signal);
        assert_eq!(code(&mut child).await, 128 + signal as i32);
        assert_all_end(&family).await;
    }
}

#[tokio::test]
async fn build_ends_with_the_function_that_it_tries() {
    let project = SmallProject::with(&[(
        "functions/hello/src/main.rs",
        "fn main() { std::thread::sleep(std::time::Duration::from_secs(600)); }\n",
    )]);
    let mut child = start(&mut command(&project, &["build"]).await);
    let family = descendants_with(id(&child), "dist/functions/hello").await;
    send(&child, Signal::SIGTERM);
    assert_eq!(code(&mut child).await, 143);
    assert_all_end(&family).await;
}

#[tokio::test]
async fn dev_that_still_builds_ends_with_cargo_and_its_build_scripts() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let project = slow_to_build();
        let words = ["dev", "--port", "0"];
        let mut child = start(&mut command(&project, &words).await);
        let family = descendants_with(id(&child), "build-script-build").await;
        send(&child, signal);
        assert_eq!(code(&mut child).await, 0);
        assert_all_end(&family).await;
    }
}

/// Cargo waits for the lock of a folder, so that even its look at the workspace may take long.
#[tokio::test]
async fn build_ends_with_a_cargo_that_does_not_answer() {
    let project = SmallProject::with(&[("cargo", "#!/bin/sh\nsleep 600 & wait\n")]);
    let cargo = project.root().join("cargo");
    let rights = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&cargo, rights).expect("a program");
    for words in [&["build"][..], &["dev", "--port", "0"]] {
        let mut command = command(&project, words).await;
        let mut child = start(command.env("CARGO", &cargo));
        let family = descendants_with(id(&child), "sleep 600").await;
        send(&child, Signal::SIGTERM);
        let expected = if words[0] == "dev" { 0 } else { 143 };
        assert_eq!(code(&mut child).await, expected);
        assert_all_end(&family).await;
    }
}

/// Makes a project whose function has a build script that takes ten minutes.
fn slow_to_build() -> SmallProject {
    SmallProject::with(&[(
        "functions/hello/build.rs",
        "fn main() { std::thread::sleep(std::time::Duration::from_secs(600)); }\n",
    )])
}

async fn command(project: &SmallProject, words: &[&str]) -> Command {
    let mut command = Command::new(stagelink_command().await);
    command
        .args(words)
        .current_dir(project.root())
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null());
    command
}

fn start(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts")
}

fn id(child: &Child) -> i32 {
    i32::try_from(child.id().expect("it runs")).expect("a process id")
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(id(child)), signal).expect("a signal");
}

/// Waits for the end of a command, and returns its exit code.
async fn code(child: &mut Child) -> i32 {
    let family = descendants(id(child));
    // Its end would end psql.
    let _input = child.stdin.take();
    let ended = timeout(Duration::from_secs(20), child.wait()).await;
    let status = ended.unwrap_or_else(|_| {
        let lines: Vec<_> = family.iter().map(|pid| command_line(*pid)).collect();
        panic!("it does not end; it has started {lines:?}")
    });
    status.expect("a status").code().expect("an exit code")
}

/// Waits until so many sessions of `stagelink psql` are on a database. The one that has asked whether a session
/// would be read-only does not count: it may last a moment longer than its psql.
async fn assert_sessions(database: &Database, expected: i64) {
    let session = server().await.connect(database).await.expect("a session");
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stagelink psql' \
                 AND datname = current_database() AND query NOT LIKE 'SHOW%'";
    let reached = async {
        loop {
            let row = session.query_one(count, &[]).await.expect("a count");
            if row.get::<_, i64>(0) == expected {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let reached = timeout(Duration::from_secs(20), reached).await;
    assert!(reached.is_ok(), "there are not {expected} sessions");
}
