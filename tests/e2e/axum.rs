//! The SDK's examples for axum: as a function, as a plain server, and with an unreachable database.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stagelink_tests::{Answer, HerokuFixture, Target, migrate, sdk_example};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::warm::{ANY, until_sessions};

const KEY: &str = "idempotency-key";

struct Guestbook(Target);

impl Guestbook {
    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let path = format!("/api/entries{path}");
        let answer = self.0.ask(method, &path, headers, body).await;
        answer.unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    async fn create(&self, key: &str, name: &str) -> Answer {
        let new = json!({ "name": name, "message": format!("{name}'s") });
        self.ask("POST", "", &[(KEY, key)], Some(&new)).await
    }

    /// Sends each route a valid and an invalid request.
    async fn check(&self) {
        let first = self.create("key-1", "Ada").await;
        assert_eq!(first.status, 201, "{}", first.text());
        let again = self.create("key-1", "Ada").await;
        assert_eq!((again.status, again.json()), (first.status, first.json()));
        assert_eq!(self.create("key-1", "Bob").await.status, 422);
        assert_eq!(self.create("key-2", "").await.status, 422);
        let new = json!({ "name": "Eve", "message": "no key" });
        assert_eq!(self.ask("POST", "", &[], Some(&new)).await.status, 400);
        let second = self.create("key-3", "Bob").await.json();
        let (one, two) = (first.json()["id"].clone(), second["id"].clone());

        let all = self.ask("GET", "", &[], None).await.json();
        assert_eq!(all, json!([first.json(), second]));
        let after = self.ask("GET", &format!("?after={one}"), &[], None).await;
        assert_eq!(after.json(), json!([second]));
        let read = self.ask("GET", &format!("/{one}"), &[], None).await;
        assert_eq!(read.json(), first.json());

        let changed = json!({ "name": "Ada", "message": "changed" });
        let path = format!("/{one}");
        let updated = self.ask("PUT", &path, &[], Some(&changed)).await.json();
        assert_eq!(updated["message"], "changed");

        // The first half of this transaction succeeds, the second fails.
        let nowhere = json!({ "from": one, "into": 0 });
        let answer = self.ask("POST", "/merge", &[], Some(&nowhere)).await;
        assert_eq!(answer.status, 404);
        assert_eq!(self.ask("GET", &path, &[], None).await.status, 200);
        let merge = json!({ "from": one, "into": two });
        let merged = self.ask("POST", "/merge", &[], Some(&merge)).await.json();
        assert_eq!(merged["message"], "Bob's changed");
        let gone = self.ask("GET", &path, &[], None).await;
        assert_eq!(gone.status, 404);
        assert_eq!(gone.json()["detail"], "There is no such entry.");

        let export = self.ask("GET", "/export", &[], None).await.text();
        let lines: Vec<Value> = export
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect();
        assert_eq!(lines, [merged]);

        let path = format!("/{two}");
        assert_eq!(self.ask("DELETE", &path, &[], None).await.status, 204);
        assert_eq!(self.ask("DELETE", &path, &[], None).await.status, 404);
        assert_eq!(self.ask("GET", "/none", &[], None).await.status, 400);
    }
}

#[tokio::test]
async fn axum_handlers_serve_everything_as_a_function() {
    let fixture = HerokuFixture::new().await;
    migrate(&fixture.variables).await;
    let function = fixture.start("axum_crud", &sdk_example("axum_crud").await);
    Guestbook(fixture.target(&function)).check().await;
    assert!(
        !fixture.log().contains("the request failed"),
        "{}",
        fixture.log()
    );
    function.shutdown().await;
}

/// Starts the plain server with a fixture's variables, and returns it with its URL.
async fn plain_server(fixture: &HerokuFixture) -> (Child, String) {
    let mut server = Command::new(sdk_example("plain_server").await)
        .env_clear()
        .envs(&fixture.variables)
        .env("PORT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the server starts");
    let stdout = server.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(stdout).lines();
    let record = fixture.record.clone();
    let port = loop {
        let line = lines.next_line().await.expect("text").expect("a line");
        record.add(line.as_str());
        if let Some(address) = line.strip_prefix("listening on ") {
            break address.rsplit(':').next().expect("a port").to_owned();
        }
    };
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            record.add(line);
        }
    });
    (server, format!("http://localhost:{port}"))
}

#[tokio::test]
async fn same_handlers_serve_everything_as_a_plain_server_and_end_in_good_order() {
    let fixture = HerokuFixture::new().await;
    migrate(&fixture.variables).await;
    until_sessions(fixture.database.role(), &ANY, 0).await;
    let (mut server, url) = plain_server(&fixture).await;
    // The warm-up has opened one.
    until_sessions(fixture.database.role(), &ANY, 1).await;
    Guestbook(Target::Site(url)).check().await;
    let pid = Pid::from_raw(i32::try_from(server.id().expect("it runs")).expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("a signal");
    let ended = tokio::time::timeout(Duration::from_secs(20), server.wait()).await;
    assert!(ended.expect("in time").expect("a status").success());
    until_sessions(fixture.database.role(), &ANY, 0).await;
}

#[tokio::test]
async fn dead_database_is_no_success_and_its_cause_is_logged_once() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_RETRY_TIMEOUT_MS", "200");
    let dead = stagelink_tests::at(&fixture.database.url(), 1);
    fixture.set_url(&dead);
    for (name, path) in [
        ("router", "/api/router/double/21"),
        ("axum_crud", "/api/entries/1"),
    ] {
        let function = fixture.start(name, &sdk_example(name).await);
        let answer = fixture.ask(&function, "GET", path, None).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.json()["status"], 503);
        assert_eq!(answer.json()["title"], "Service Unavailable");
        function.shutdown().await;
    }
    let log = fixture.log();
    let failed = log
        .lines()
        .filter(|line| line.contains("the request failed"));
    assert_eq!(failed.count(), 2, "{log}");
    assert!(log.contains("refused"), "{log}");
}
