//! Options and output that all of `stagelink`'s commands share.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Output, Stdio};

use nix::pty::{Winsize, openpty};
use stagelink_tests::{Auth, CANARY, Identity, OwnServer, SmallProject, stagelink_command};
use tokio::process::Command;

#[tokio::test]
async fn command_outside_of_a_project_says_how_to_make_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [&[][..], &["dev"], &["build"]] {
        let output = run(stagelink_command().await, arguments, folder.path()).await;
        assert!(!output.status.success());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("is not a stagelink project"),
            "{arguments:?}: {stderr}"
        );
        assert!(stderr.contains("`stagelink new NAME`"), "{stderr}");
    }
}

#[tokio::test]
async fn installed_command_makes_a_project_that_names_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let installed = folder.path().join("stagelink");
    fs::copy(stagelink_command().await, &installed).expect("a copy");
    let mut new = Command::new(&installed);
    new.args(["new", "shop"]).current_dir(folder.path());
    // Cargo asks no one for the repository.
    let output = new.env("CARGO_NET_OFFLINE", "true").output().await;
    let output = output.expect("the command runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let note = "cargo could not complete Cargo.lock, so the first build changes it: commit it then";
    assert!(stderr.contains(note), "{stderr}");
    let manifest = folder.path().join("shop/Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("a manifest");
    for package in [
        "stagelink",
        "stagelink-local",
        "stagelink-local-postgres",
        "stagelink-test",
    ] {
        let line = format!("\n{package} = {{ git = \"https://");
        assert!(manifest.contains(&line), "{manifest}");
    }
    assert!(!manifest.contains("path = "), "{manifest}");
    // It says so, and how to have another.
    let stdout = String::from_utf8_lossy(&output.stdout);
    let words = "It uses the SDK of the repository https://";
    assert!(
        stdout.contains(words) && stdout.contains("--sdk names another source"),
        "{stdout}"
    );
}

#[tokio::test]
async fn command_of_a_clone_advises_commands_that_can_be_run_there() {
    let root = stagelink_tests::root();
    let command = stagelink_command().await;
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("stagelink");
    std::os::unix::fs::symlink(command, &link).expect("a link");
    let run = async |program: &str, folder: &Path, manifest: Option<&Path>| {
        let mut command = Command::new(program);
        command
            .args(["status", "--local=1"])
            .current_dir(folder)
            .env_clear();
        if let Some(manifest) = manifest {
            command.env("CARGO_MANIFEST_DIR", manifest);
        }
        let output = command.output().await.expect("the command runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    let stderr = run("../stagelink", &empty, None).await;
    assert!(
        stderr.contains("no `../stagelink dev` runs at port 1"),
        "{stderr}"
    );
    let by_cargo = run(
        command.to_str().expect("a path"),
        &root.join("cli"),
        Some(&root.join("cli")),
    )
    .await;
    assert!(
        by_cargo.contains("no `cargo run -- dev` runs at port 1"),
        "{by_cargo}"
    );
}

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
async fn mark_advises_its_own_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().canonicalize().expect("a path");
    let here = here.display();
    for (arguments, words) in [
        (&["mark", "show"][..], "name it with --stage"),
        (&["credentials"], "name it with --stage"),
        (
            &["mark", "show", "--stage", "prod"],
            "error: unknown stage \"prod\": use review, development",
        ),
        (&["mark", "show", "prod"], "did you mean production?"),
        (
            &["link", "--token-for", "bogus=T"],
            "and STAGE is review, development, staging or production",
        ),
        (
            &["mark", "show", "--local", "--stage", "staging"],
            &format!("no `stagelink dev` runs in the project folder {here}: start"),
        ),
        (
            &["mark", "show", "--local", "--stage=staging", "--project=x"],
            "could not open the project folder x",
        ),
        (
            &["mark", "set", "--local"],
            &format!("no `stagelink dev` runs in the project folder {here}: start"),
        ),
    ] {
        let output = run(stagelink_command().await, arguments, folder.path()).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}

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
async fn messages_advise_commands_by_the_name_of_this_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, words) in [
        ("scripts/stagelink", "run `scripts/stagelink build`"),
        ("two words", "run `stagelink build`"),
    ] {
        let mut command = Command::new(stagelink_command().await);
        command
            .args(["needs", "--json"])
            .current_dir(folder.path())
            .env_clear()
            .env("STAGELINK_COMMAND", name);
        let output = command.output().await.expect("the command runs");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(json.to_string().contains(words), "{json}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(words), "{stderr}");
        assert!(!stderr.contains("STAGELINK_COMMAND"), "{stderr}");
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
async fn option_that_excludes_others_says_so_in_its_help() {
    let folder = tempfile::tempdir().expect("a folder");
    for (command, words) in [
        ("link", "excludes --yes, --dry-run, --json and --local"),
        ("build", "excludes --target, which names the processor too"),
        ("build", "excludes --arch, since it names the processor"),
    ] {
        let arguments = [command, "--help"];
        let output = run(stagelink_command().await, &arguments, folder.path()).await;
        let help = String::from_utf8_lossy(&output.stdout);
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(words), "{words}: {help}");
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

/// Creates a project with a function that compiles at once.
fn project() -> SmallProject {
    SmallProject::with(&[
        ("netlify.toml", "[build]\npublish = \"public\"\n"),
        ("public/index.html", "hello\n"),
    ])
}

async fn run(command: &Path, arguments: &[impl AsRef<OsStr>], folder: &Path) -> Output {
    Command::new(command)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the command runs")
}
