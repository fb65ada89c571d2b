//! Notes, warnings and colours on standard error.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use nix::pty::{Winsize, openpty};
use stagelink_tests::{Auth, CANARY, Identity, OwnServer, stagelink_command};
use tokio::process::Command;

use super::project;

#[tokio::test]
async fn verbose_command_shows_the_warnings_of_the_sdk() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Md5).await;
    for (flag, shows) in [("-v", true), ("--json", false)] {
        let output = Command::new(stagelink_command().await)
            .args(["mark", "show", flag])
            .env_clear()
            .env("STAGELINK_STAGE", "staging")
            .env("DATABASE_URL", database.url())
            .env("STAGELINK_DANGER_UNAUTHENTICATED", "true")
            .output()
            .await
            .expect("the command runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert!(!stderr.contains(CANARY), "{stderr}");
        let warns = stderr.contains("WARN") && stderr.contains("STAGELINK_DANGER_UNAUTHENTICATED");
        assert_eq!(warns, shows, "{flag}: {stderr}");
    }
}

#[tokio::test]
async fn password_on_the_command_line_is_noted_and_a_file_keeps_it_off() {
    let project = project();
    let url = format!("postgres://boss:{CANARY}@localhost:1/postgres");
    let file = project.root().join("postgres-url");
    fs::write(&file, format!("psql '{url}'\n")).expect("a file");
    let file = file.to_str().expect("a path");
    for (arguments, variable, is_noted) in [
        (&["--postgres", &url][..], "", true),
        (&["--postgres-file", file], "", false),
        (&[], url.as_str(), false),
    ] {
        let mut command = Command::new(stagelink_command().await);
        command
            .args(["dev", "--port", "0"])
            .args(arguments)
            .current_dir(project.root());
        command.env_remove("STAGELINK_POSTGRES");
        if !variable.is_empty() {
            command.env("STAGELINK_POSTGRES", variable);
        }
        let output = command.output().await.expect("the command runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains("could not log in"), "{stderr}");
        let note = "--postgres shows the password of its URL";
        assert_eq!(stderr.contains(note), is_noted, "{stderr}");
        assert!(!stderr.contains(CANARY), "{stderr}");
    }
}

#[tokio::test]
async fn unknown_variable_of_stagelinks_is_noted_by_each_command_that_reads_them() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &["link"][..],
        &["mark", "show", "--stage=staging"],
        &["mark", "show", "--stage=staging", "--local"],
        &["credentials", "--stage=staging"],
    ] {
        let run = async |name: &str| {
            let mut command = Command::new(stagelink_command().await);
            command
                .args(arguments)
                .current_dir(folder.path())
                .env_clear();
            let output = command.env(name, "5").output().await;
            let output = output.expect("the command runs");
            assert!(!output.status.success());
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        for (name, nearest) in [
            ("STAGELINK_PIPELINE", "is STAGELINK_HEROKU_PIPELINE)"),
            ("STAGELINK_TIMEOUT", "are STAGELINK_IDLE_TIMEOUT_MS, "),
        ] {
            let stderr = run(name).await;
            let noted = format!("does not know are ignored: {name} (the nearest known name");
            assert!(stderr.contains(&noted), "{arguments:?}: {stderr}");
            assert!(stderr.contains(nearest), "{arguments:?}: {stderr}");
        }
        let stderr = run("STAGELINK_REQUIRE_MARKS").await;
        let refused = "STAGELINK_REQUIRE_MARKS is not STAGELINK_REQUIRE_MARK";
        assert!(stderr.contains(refused), "{arguments:?}: {stderr}");
        let stderr = run("STAGELINK_CACHE").await;
        assert!(!stderr.contains("does not know"), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn no_color_holds_for_progress_lines_and_errors() {
    let project = project();
    let colored = on_a_terminal(project.root(), &[("TERM", "xterm-256color")]).await;
    assert!(has_color(&colored), "{colored:?}");
    assert!(colored.contains("functions: hello"), "{colored:?}");
    assert!(colored.contains("error: "), "{colored:?}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let variables = [("TERM", "xterm-256color"), (name, value)];
        let plain = on_a_terminal(project.root(), &variables).await;
        assert!(!has_color(&plain), "{name}: {plain:?}");
        assert!(plain.contains("functions: hello"), "{plain:?}");
    }
}

/// Returns whether a text selects a colour or a weight (SGR). A spinner also moves the cursor.
fn has_color(text: &str) -> bool {
    text.split("\u{1b}[").skip(1).any(|sequence| {
        let end = sequence.find(|c: char| !c.is_ascii_digit() && c != ';');
        end.is_some_and(|end| sequence[end..].starts_with('m'))
    })
}

/// Runs `stagelink dev` on a terminal: it builds the functions, and fails to find a Postgres.
async fn on_a_terminal(project: &Path, variables: &[(&str, &str)]) -> String {
    let size = Winsize {
        ws_row: 24,
        ws_col: 200,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(&size, None).expect("a terminal");
    let mut command = Command::new(stagelink_command().await);
    command
        .args(["dev", "--port", "0", "--postgres", "local:/nonexistent"])
        .current_dir(project)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(terminal.slave.try_clone().expect("a second handle"))
        .stderr(terminal.slave);
    let mut child = command.spawn().expect("the command starts");
    // The command has the other side open too: the output ends when both are closed.
    drop(command);
    let mut master = fs::File::from(terminal.master);
    let reader = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        // Linux reports the end of a terminal's output as an error.
        let _ = master.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = child.wait().await.expect("an end");
    assert!(!status.success());
    reader.await.expect("the output")
}
