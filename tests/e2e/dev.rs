//! `stagelink dev`, started as a user or a script starts it.

use std::collections::HashSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stagelink_tests::{
    Answer, CANARY, SmallProject, command_line, descendants, is_running, root, send,
    stagelink_command,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::promotion::promote;

/// Running `stagelink dev` with its own folder for temporary files.
pub(crate) struct Dev {
    child: Child,
    /// Output up to the line that says that everything runs.
    up: Value,
    temporary: tempfile::TempDir,
    log: tempfile::NamedTempFile,
}

async fn command(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(stagelink_command().await);
    command
        .current_dir(root())
        .args(["dev", "--json"])
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

impl Dev {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        expect_up(Self::try_start(arguments).await)
    }

    /// Starts it; returns its standard error where it ends instead of coming up.
    pub(crate) async fn try_start(arguments: &[&str]) -> Result<Self, String> {
        let temporary = temporary();
        let arguments = [&["--port", "0"], arguments].concat();
        let command = command(temporary.path(), &arguments).await;
        Self::up(command, temporary).await
    }

    /// Starts it through a project's own script.
    pub(crate) async fn start_by(mut script: Command) -> Self {
        let temporary = temporary();
        script
            .args(["--json", "--port", "0"])
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        expect_up(Self::up(script, temporary).await)
    }

    async fn up(mut command: Command, temporary: tempfile::TempDir) -> Result<Self, String> {
        let log = tempfile::NamedTempFile::new().expect("a file");
        command.stderr(log.reopen().expect("the file"));
        let mut child = command.spawn().expect("the command starts");
        let stdout = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(Duration::from_secs(300), lines.next_line())
            .await
            .expect("it is up in time")
            .expect("its output can be read");
        let errors = || std::fs::read_to_string(log.path()).expect("the file");
        let line = line.ok_or_else(errors)?;
        Ok(Self {
            child,
            up: serde_json::from_str(&line).expect("one line of JSON"),
            temporary,
            log,
        })
    }

    /// Returns its standard error so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).expect("the file")
    }

    /// Returns the first line of its output.
    pub(crate) fn summary(&self) -> &Value {
        &self.up
    }

    /// Returns the address of the board, with its key.
    pub(crate) fn board(&self) -> &str {
        self.up["board"]["url"].as_str().expect("a board")
    }

    pub(crate) fn stage(&self, name: &str) -> &Value {
        self.up["stages"]
            .as_array()
            .expect("stages")
            .iter()
            .find(|stage| stage["name"] == name)
            .expect("the stage")
    }

    async fn sign(&self, stage: &str, name: &str) -> Answer {
        let url = self.stage(stage)["url"].as_str().expect("a URL");
        let entry = json!({ "name": name, "message": "m" }).to_string();
        let headers = [("content-type", "application/json")];
        send("POST", &format!("{url}/api/guestbook"), &headers, &entry).await
    }

    async fn names(&self, stage: &str) -> Vec<String> {
        let url = self.stage(stage)["url"].as_str().expect("a URL");
        let answer = send("GET", &format!("{url}/api/guestbook"), &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["entries"]
            .as_array()
            .expect("entries")
            .iter()
            .map(|entry| entry["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Returns the name of the pipeline on the local Heroku.
    pub(crate) fn pipeline(&self) -> &str {
        self.up["heroku"]["pipeline"].as_str().expect("a name")
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id().expect("it runs")).expect("a process id")
    }

    /// Sends a signal, waits for the end, and checks for leftover processes and files.
    pub(crate) async fn end(mut self, signal: Signal) -> Option<i32> {
        let family = descendants(self.pid());
        // At least one function, and Postgres or the watchdog of its container.
        assert!(family.len() >= 2, "{family:?}");
        kill(Pid::from_raw(self.pid()), signal).expect("a signal");
        let status = timeout(Duration::from_secs(30), self.child.wait())
            .await
            .expect("it ends in time")
            .expect("it can be waited for");
        // A killed process cannot clean up; its watchdogs need a moment.
        let gone = || family.iter().all(|pid| !is_running(*pid)) && is_empty(self.temporary.path());
        let waited = timeout(Duration::from_secs(20), async {
            while !gone() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        if signal != Signal::SIGKILL || waited.is_err() {
            assert!(
                gone(),
                "left behind: {:?}",
                left_behind(&family, self.temporary.path())
            );
        }
        status.code()
    }
}

fn expect_up(started: Result<Dev, String>) -> Dev {
    started.unwrap_or_else(|errors| panic!("it does not come up: {errors}"))
}

/// The user that Postgres runs as must be able to enter it.
fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a folder")
}

fn left_behind(family: &HashSet<i32>, temporary: &Path) -> Vec<String> {
    let processes = family
        .iter()
        .filter(|pid| is_running(**pid))
        .map(|pid| command_line(*pid));
    let files = std::fs::read_dir(temporary)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().display().to_string());
    processes.chain(files).collect()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

#[tokio::test]
async fn dev_serves_both_stages_and_leaves_nothing_behind() {
    let dev = Dev::start(&[]).await;
    let heroku = &dev.up["heroku"];
    assert!(
        heroku["host"]
            .as_str()
            .is_some_and(|host| host.starts_with("http://127.0.0.1:"))
    );
    assert_eq!(heroku["pipeline"], "stagelink");
    assert_eq!(dev.stage("staging")["app"], "stagelink-staging");

    let database = dev.stage("production")["database_url"]
        .as_str()
        .expect("a URL");
    let key = heroku["api_key"].as_str().expect("a key");
    let config = send(
        "GET",
        &format!(
            "{}/apps/stagelink-production/config-vars",
            heroku["host"].as_str().expect("a host")
        ),
        &[
            ("accept", "application/vnd.heroku+json; version=3"),
            ("authorization", &format!("Bearer {key}")),
        ],
        "",
    )
    .await;
    assert_eq!(config.json()["DATABASE_URL"], database);

    assert_eq!(dev.sign("staging", "Ada").await.status, 201);
    assert_eq!(dev.names("staging").await, ["Ada"]);
    assert!(dev.names("production").await.is_empty());

    let host = heroku["host"].as_str().expect("a host");
    let promoted = promote((host, key), "stagelink-staging", "stagelink-production").await;
    assert_eq!(promoted["status"], "succeeded");
    let line = "promoted: production runs the functions of staging (guestbook, health)";
    assert!(dev.log().contains(line), "{}", dev.log());
    assert!(dev.names("production").await.is_empty());
    assert_eq!(dev.names("staging").await, ["Ada"]);

    // Other commands find its clouds, by the port where several run.
    let url = dev.stage("staging")["url"].as_str().expect("a URL");
    let port = url.rsplit(':').next().expect("a port").to_owned();
    let local = format!("--local={port}");
    let shown = local_command(&["mark", "show", "--stage", "staging", &local]).await;
    assert!(shown.0, "{}", shown.1);
    let words_of_app = "DATABASE_URL of app stagelink-staging on Heroku";
    assert!(shown.1.contains(words_of_app), "{}", shown.1);
    let printed = local_command(&["credentials", "--stage", "production", &local]).await;
    assert!(printed.1.starts_with("production=postgres://"));
    let review = local_command(&["mark", "show", "--stage", "review", &local]).await;
    assert!(
        !review.0 && review.1.contains("has no stage \"review\""),
        "{}",
        review.1
    );

    let marked = local_command(&["mark", "set", "--stage", "staging", &local]).await;
    assert!(marked.0, "{}", marked.1);
    let planned = local_command(&["migrate", "staging", "--plan", &local]).await;
    assert!(
        planned.0 && planned.1.contains("2 applied, 0 pending"),
        "{}",
        planned.1
    );
    let dry = local_command(&["link", "--dry-run", &local]).await;
    assert!(dry.0 && dry.1.contains("this was a dry run"), "{}", dry.1);
    let own = "the site and the pipeline are those of this run of `stagelink dev`";
    assert!(dry.1.contains(own), "{}", dry.1);
    // The clouds end with the command, so it does not ask.
    let linked = local_command(&["link", &local]).await;
    for words in [
        "variables of the site stagelink",
        "branch:staging",
        "│ production     ┆ production ┆ STAGELINK_CREDENTIALS",
        "set: new deploys get these variables",
    ] {
        assert!(linked.0 && linked.1.contains(words), "{}", linked.1);
    }
    let examined = local_command(&["doctor", "--concurrency", "5", &local]).await;
    for words in [
        "staging  ",
        "production  ",
        "0 errors, 0 warnings, 0 not checked",
    ] {
        assert!(examined.0 && examined.1.contains(words), "{}", examined.1);
    }
    // The local clouds limit no instances.
    let examined = local_command(&["doctor", &local]).await;
    for words in ["0 errors, 0 warnings", "the local clouds have no number"] {
        assert!(examined.0 && examined.1.contains(words), "{}", examined.1);
    }
    // A folder in the project leads to its clouds, too.
    let folder = ["--project", "functions"];
    let from_folder = [&["mark", "show", "staging", &local][..], &folder].concat();
    let shown = local_command(&from_folder).await;
    assert!(shown.0 && shown.1.contains(words_of_app), "{}", shown.1);
    for (arguments, words) in [
        (
            &["mark", "show", "staging"][..],
            "say in stagelink.toml where it is;",
        ),
        (&["mark", "show"], "name it with --stage;"),
        (&["status"], "no stage is known: add a stagelink.toml"),
        (
            &["doctor"],
            "no stage is named, and there is no stagelink.toml",
        ),
        (&["doctor", "staging"], "say in stagelink.toml where it is;"),
    ] {
        let missing = local_command(arguments).await;
        let text = missing.1.split_whitespace().collect::<Vec<_>>().join(" ");
        let hint = "a `stagelink dev` runs here: add --local";
        assert!(
            !missing.0 && text.contains(words) && text.contains(hint),
            "{arguments:?}: {}",
            missing.1
        );
    }
    assert!(!root().join("stagelink.toml").exists());
    let file = root().join(format!("target/stagelink/dev-{port}.json"));
    let metadata = std::fs::metadata(&file).expect("the file of the clouds");
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
    assert_eq!(mode & 0o777, 0o600);

    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
    assert!(!file.exists());
    let words = format!("no `stagelink dev` runs at port {port}");
    for arguments in [
        &["mark", "show", "--stage", "staging", &local][..],
        &["migrate", "staging", "--plan", &local],
        &["link", "--dry-run", &local],
    ] {
        let gone = local_command(arguments).await;
        assert!(!gone.0 && gone.1.contains(&words), "{}", gone.1);
    }
}

/// Runs a command in the project, without the variables of a provider. Returns whether it
/// succeeded, and its output with its errors.
async fn local_command(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(stagelink_command().await)
        .current_dir(root())
        .args(arguments)
        .env_clear()
        .output()
        .await
        .expect("the command runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

#[tokio::test]
async fn terminated_or_killed_dev_leaves_nothing_behind() {
    let dev = Dev::start(&[]).await;
    assert!(dev.names("staging").await.is_empty());
    assert_eq!(dev.end(Signal::SIGTERM).await, Some(0));

    let dev = Dev::start(&[]).await;
    assert!(dev.names("production").await.is_empty());
    let url = dev.stage("staging")["url"].as_str().expect("a URL");
    let local = format!("--local={}", url.rsplit(':').next().expect("a port"));
    assert_eq!(dev.end(Signal::SIGKILL).await, None);
    // Its file stays, and leads nowhere.
    let gone = local_command(&["link", "--dry-run", &local]).await;
    assert!(
        !gone.0 && gone.1.contains("no `stagelink dev` runs"),
        "{}",
        gone.1
    );
}

#[tokio::test]
async fn kept_data_is_available_in_the_next_run() {
    let data = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a folder");
    let folder = data.path().join("kept");
    let arguments = ["--data", folder.to_str().expect("a path")];
    let dev = Dev::start(&arguments).await;
    assert_eq!(dev.sign("production", "Grace").await.status, 201);
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));

    let dev = Dev::start(&arguments).await;
    assert_eq!(dev.names("production").await, ["Grace"]);
    assert!(dev.names("staging").await.is_empty());
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
    remove_volume(&folder).await;
}

/// Docker keeps the data in a volume, which outlives the folder that names it.
pub(crate) async fn remove_volume(folder: &Path) {
    if let Ok(named) = std::fs::read_to_string(folder.join("docker-volume")) {
        let removed = Command::new("docker")
            .args(["volume", "rm", named.lines().next().expect("a name")])
            .stdout(Stdio::null())
            .status()
            .await
            .expect("docker runs");
        assert!(removed.success());
    }
}

#[tokio::test]
async fn occupied_port_is_reported_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("a port").port().to_string();
    let temporary = tempfile::tempdir().expect("a folder");
    for (option, free) in [
        ("--port", "--heroku-port"),
        ("--heroku-port", "--port"),
        ("--postgres-port", "--port"),
    ] {
        let output = command(temporary.path(), &[option, &port, free, "0"])
            .await
            .stderr(Stdio::piped())
            .output()
            .await
            .expect("the command runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(
            stderr.contains(&format!("could not use port {port}: {option} sets another")),
            "{option}: {stderr}"
        );
        assert!(
            !stderr.contains("functions"),
            "it was built first: {stderr}"
        );
    }
    assert!(is_empty(temporary.path()));
}

#[tokio::test]
async fn port_of_the_projects_own_site_is_said_to_be_that() {
    let project = SmallProject::with(&[]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let url = dev.stage("production")["url"].as_str().expect("a URL");
    let port = url.rsplit(':').next().expect("a port");
    let temporary = tempfile::tempdir().expect("a folder");
    let second = ["--project", project.path(), "--port", port];
    let second = command(temporary.path(), &second).await;
    let output = { second }.stderr(Stdio::piped()).output().await;
    let output = output.expect("the command runs");
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    let expected = format!(
        "could not use port {port}: another `stagelink dev` of this project has it (process {})",
        dev.pid()
    );
    assert!(errors.contains(&expected), "{errors}");
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

/// Netlify then publishes the project's folder, and its `_redirects` and `_headers` count.
#[tokio::test]
async fn project_without_netlify_toml_starts_with_the_defaults_of_netlify() {
    let project = SmallProject::with(&[
        ("migrations/README", "none\n"),
        ("app.js", "1\n"),
        ("_headers", "/*.js\n  X-Script: yes\n"),
        // The second line is wrong, and costs itself only.
        ("_redirects", "/old/*/page /app.js?of=:splat 302\n/a b\n"),
    ]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let url = dev.stage("staging")["url"]
        .as_str()
        .expect("a URL")
        .to_owned();
    let get = async |path: &str| send("GET", &format!("{url}{path}"), &[], "").await;
    assert_eq!(get("/").await.text(), "hello\n");
    let script = get("/app.js").await;
    assert_eq!(script.header("x-script"), "yes");
    let moved = get("/old/1/2/page?x=1").await;
    assert_eq!(moved.status, 302);
    assert_eq!(moved.header("location"), "/app.js?of=1/2");
    assert_eq!(get("/_redirects").await.status, 404);
    drop(dev);
}

#[tokio::test]
async fn unusable_postgres_source_is_reported_without_its_password() {
    let temporary = tempfile::tempdir().expect("a folder");
    let url = format!("postgres://boss:{CANARY}@localhost:0/postgres");
    for (source, reason) in [("oracle", "the choices are"), (&url, "could not log in")] {
        let output = command(temporary.path(), &["--port", "0", "--postgres", source])
            .await
            .stderr(Stdio::piped())
            .output()
            .await
            .expect("the command runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains(reason), "{stderr}");
        assert!(!stderr.contains(CANARY), "{stderr}");
    }
}
