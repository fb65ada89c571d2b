//! The board of `stagelink dev`, in a headless Chromium: what it shows, each of its actions, what axe-core
//! finds, and whom it refuses.

mod guard;
mod promotion;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use stagelink_tests::{Record, SmallProject, root, send, stagelink_command, target_folder};
use tokio::process::Command;
use tokio::time::timeout;

use crate::dev::Dev;

const NETLIFY: &str = "[build]\npublish = \"public\"\n[functions]\ndirectory = \"functions\"\n\
                       [[redirects]]\nfrom = \"/api/*\"\nto = \"/.netlify/functions/notes/:splat\"\nstatus = 200\n";

const SETTINGS: &str = "heroku.pipeline = \"shop\"\n[stages.review]\n[stages.staging]\n[stages.qa]\n\
                        kind = \"staging\"\nbranch = \"qa\"\n[stages.production]\n";

/// A project with the function `notes`, which reports phases that it makes up.
fn project() -> SmallProject {
    let manifest = "[package]\nname = \"notes\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    let project = SmallProject::with(&[
        ("netlify.toml", NETLIFY),
        ("stagelink.toml", SETTINGS),
        ("public/index.html", "home\n"),
        ("functions/notes/Cargo.toml", manifest),
        ("functions/notes/src/main.rs", include_str!("notes/main.rs")),
        (
            "migrations/V1__notes.sql",
            "CREATE TABLE notes (id int8 PRIMARY KEY);\n",
        ),
    ]);
    std::fs::remove_dir_all(project.root().join("functions/hello")).expect("a folder");
    project
}

/// Returns the folder of the browser's driver and the path of the browser. Installs the first.
async fn tools() -> (PathBuf, String) {
    let folder = target_folder().join("tools/board-1.65.1-4.14.1");
    let output = Command::new(root().join("tests/e2e/board/install"))
        .arg(&folder)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the script that installs the tools runs");
    assert!(
        output.status.success(),
        "the browser's tools cannot be installed; they need chromium, npm and flock (apt-get install \
         chromium npm util-linux): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let browser = String::from_utf8(output.stdout).expect("a path");
    (folder, browser.trim().to_owned())
}

/// Runs a script in the browser, and returns what it reports.
pub(crate) async fn browse(script: &str, arguments: &[&str]) -> Value {
    let (folder, browser) = tools().await;
    let mut node = Command::new("node");
    node.arg(root().join("tests/e2e/board").join(script))
        .args(arguments)
        .env("BOARD_TOOLS", folder)
        .env("BOARD_CHROMIUM", browser)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(Duration::from_secs(400), node.output()).await;
    let output = output.expect("it ends in time").expect("node runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors}");
    serde_json::from_slice(&output.stdout).expect("a report")
}

/// Returns a record in which no secret of the running site may occur: passwords, tokens, and the key of
/// the board.
fn record(dev: &Dev, project: &SmallProject) -> Record {
    let folder = project.root().join("target/stagelink");
    let file = std::fs::read_dir(folder).expect("a folder").flatten();
    let file = file.map(|entry| entry.path()).next().expect("a file");
    let file = std::fs::read_to_string(file).expect("the file");
    let site: Value = serde_json::from_str(&file).expect("JSON");
    let mut secrets = vec![key(dev).to_owned()];
    let clouds = site["clouds"].as_object().expect("clouds");
    let tokens = clouds
        .iter()
        .filter(|(name, _)| name.ends_with("_token"))
        .map(|(_, value)| value);
    let stages = site["stages"].as_object().expect("stages").values();
    for token in tokens.chain(stages.map(|variables| &variables["HEROKU_API_KEY"])) {
        secrets.push(token.as_str().expect("a token").to_owned());
    }
    for stage in ["staging", "production"] {
        let url = dev.stage(stage)["database_url"].as_str().expect("a URL");
        let password = url.split([':', '@']).nth(2).expect("a password");
        secrets.push(password.to_owned());
    }
    assert!(secrets.len() >= 8 && secrets.iter().all(|secret| secret.len() >= 20));
    Record::new(secrets)
}

fn key(dev: &Dev) -> &str {
    dev.board().split_once('#').expect("a key").1
}

#[tokio::test(flavor = "multi_thread")]
async fn board_shows_and_does_all_by_clicks_and_tells_no_secret() {
    let project = project();
    let dev = Dev::start(&["--project", project.path()]).await;
    let record = record(&dev, &project);
    let site = dev.stage("staging")["port_url"].as_str().expect("a URL");
    // A connection that the board counts; the function of the project opens none.
    let mut connection = Command::new(stagelink_command().await);
    connection
        .args([
            "psql",
            "staging",
            "--local",
            "--",
            "-c",
            "SELECT pg_sleep(600)",
        ])
        .current_dir(project.root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let _connection = connection.spawn().expect("it starts");
    let report = browse("clicks.mjs", &[dev.board(), site]).await;
    let texts = report["texts"].as_str().expect("texts");
    for part in [
        "event: stages",
        "event: requests",
        "\"event\":",
        "generation",
    ] {
        assert!(texts.contains(part), "{part} was searched, too");
    }
    record.add(texts);
    record.text();
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_in_either_scheme_at_320_and_1280_pixels() {
    let project = project();
    let dev = Dev::start(&["--project", project.path()]).await;
    let site = dev.stage("staging")["url"].as_str().expect("a URL");
    for (method, path) in [("GET", "notes"), ("POST", "notes"), ("GET", "fail")] {
        send(method, &format!("{site}/api/{path}"), &[], "").await;
    }
    let report = browse("axe.mjs", &[dev.board()]).await;
    assert_eq!(report["states"], 17);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_build_is_on_the_board_until_the_next_one_is_served() {
    let project = project();
    let dev = Dev::start(&["--project", project.path()]).await;
    let source = project.root().join("functions/notes/src/main.rs");
    let source = source.to_str().expect("a path");
    browse("build.mjs", &[dev.board(), source]).await;
}
