//! The faults of a running `stagelink dev`: each has the effect that it names, and is gone afterwards.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stagelink_tests::{Answer, descendants, root, send, stagelink_command};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::dev::Dev;

/// A running site, and the commands that make it misbehave.
struct Site {
    dev: Dev,
    local: String,
    /// The file by which commands find the site.
    file: Value,
}

impl Site {
    async fn start() -> Self {
        let dev = Dev::start(&[]).await;
        let url = dev.stage("staging")["url"].as_str().expect("a URL");
        let port = url.rsplit(':').next().expect("a port");
        let file = root().join(format!("target/stagelink/dev-{port}.json"));
        let file = std::fs::read_to_string(file).expect("the file of the site");
        let site = Self {
            local: format!("--local={port}"),
            file: serde_json::from_str(&file).expect("JSON"),
            dev,
        };
        assert_eq!(site.read().await.status, 200);
        site
    }

    /// Runs `stagelink fault`, which has to succeed.
    async fn fault(&self, words: &[&str]) -> Value {
        let (is_done, output) = self.run(words).await;
        assert!(is_done, "{words:?}: {output}");
        output
    }

    async fn run(&self, words: &[&str]) -> (bool, Value) {
        let output = Command::new(stagelink_command().await)
            .current_dir(root())
            .arg("fault")
            .args(words)
            .args(["--json", &self.local])
            .env_clear()
            .output()
            .await
            .expect("the command runs");
        let json = serde_json::from_slice(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        (
            output.status.success(),
            json.unwrap_or_else(|_| panic!("{errors}")),
        )
    }

    /// Clears the faults of staging, of which exactly this one lasts.
    async fn clear(&self, name: &str) {
        let listed = self.fault(&["list"]).await;
        assert_eq!(listed["faults"][0]["fault"]["type"], name, "{listed}");
        let cleared = self.fault(&["clear", "--stage", "staging"]).await;
        assert_eq!(cleared["ended"][0]["type"], name, "{cleared}");
        assert_eq!(cleared["faults"], json!([]));
    }

    async fn read(&self) -> Answer {
        self.ask("GET", "staging", "").await
    }

    async fn write(&self) -> Answer {
        let entry = json!({ "name": "Ada", "message": "m" }).to_string();
        self.ask("POST", "staging", &entry).await
    }

    async fn ask(&self, method: &str, stage: &str, body: &str) -> Answer {
        let url = self.dev.stage(stage)["url"].as_str().expect("a URL");
        let url = format!("{url}/api/guestbook");
        send(method, &url, &[("content-type", "application/json")], body).await
    }

    /// Asks the local Heroku for the URL of staging's database with the token of its functions.
    async fn database_url(&self) -> Answer {
        let clouds = &self.file["clouds"];
        let host = clouds["heroku_url"].as_str().expect("a URL");
        let token = self.file["stages"]["staging"]["HEROKU_API_KEY"].as_str();
        let token = format!("Bearer {}", token.expect("a token"));
        let headers = [
            ("accept", "application/vnd.heroku+json; version=3"),
            ("authorization", token.as_str()),
        ];
        let url = format!("{host}/apps/stagelink-staging/config-vars");
        send("GET", &url, &headers, "").await
    }

    async fn port(&self) -> u16 {
        let vars = self.database_url().await.json();
        let url = vars["DATABASE_URL"].as_str().expect("a URL").to_owned();
        let port = url
            .rsplit_once('/')
            .and_then(|(url, _)| url.rsplit_once(':'));
        port.expect("a port").1.parse().expect("a port")
    }
}

/// Asks the server behind a port for TLS.
async fn asks_for_tls(port: u16) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
    stream.read_u8().await
}

/// Processes of the guestbook that are stopped.
fn stopped(dev: &Dev) -> Vec<i32> {
    let is_stopped = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, state)| state.starts_with('T'))
    };
    descendants(dev.pid())
        .into_iter()
        .filter(is_stopped)
        .collect()
}

#[tokio::test]
async fn faults_of_the_network_are_those_of_one_stage_until_they_are_cleared() {
    let site = Site::start().await;
    let staging = ["--stage", "staging"];
    let with = |words: &[&'static str]| [words, &staging].concat();
    let port = site.port().await;
    assert_eq!(asks_for_tls(port).await.expect("an answer"), b'S');

    site.fault(&with(&["latency", "--latency", "400", "--jitter", "100"]))
        .await;
    let started = Instant::now();
    assert_eq!(asks_for_tls(port).await.expect("an answer"), b'S');
    assert!(started.elapsed() >= Duration::from_millis(300));
    // Another one of the kind takes its place.
    let replaced = site.fault(&with(&["latency", "--latency", "1"])).await;
    let latency = json!({ "type": "latency", "attributes": { "latency": 1, "jitter": 0 } });
    let faults = replaced["faults"].as_array().expect("faults");
    assert_eq!(faults.len(), 1, "{replaced}");
    assert_eq!(faults[0]["fault"], latency);
    site.clear("latency").await;

    site.fault(&with(&["bandwidth", "--rate", "1"])).await;
    // A new connection gets the server's certificate and more, some kilobytes.
    site.fault(&with(&["reset-peer"])).await;
    let started = Instant::now();
    assert_eq!(site.read().await.status, 200);
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    let listed = site.fault(&["list", "--stage", "production"]).await;
    assert_eq!(listed["faults"], json!([]));
    site.clear("bandwidth").await;

    site.fault(&with(&["stall"])).await;
    let mut waiting = tokio::spawn(asks_for_tls(port));
    let early = timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(site.ask("GET", "production", "").await.status, 200);
    site.clear("stall").await;
    assert_eq!(waiting.await.expect("it ends").expect("an answer"), b'S');

    site.fault(&with(&["reset_peer", "--for", "1h"])).await;
    assert!(asks_for_tls(port).await.is_err());
    site.clear("reset_peer").await;
    assert_eq!(asks_for_tls(port).await.expect("an answer"), b'S');
    // Without a duration it happens once.
    let done = site.fault(&with(&["reset-peer"])).await;
    assert_eq!(done["faults"], json!([]));
    assert_eq!(site.read().await.status, 200);

    site.fault(&with(&["fail-over"])).await;
    let moved = site.port().await;
    assert_ne!(moved, port);
    assert!(asks_for_tls(port).await.is_err());
    assert_eq!(asks_for_tls(moved).await.expect("an answer"), b'S');
    assert_eq!(site.read().await.status, 200);

    // One with a duration ends by itself.
    site.fault(&with(&["stall", "--for", "300ms"])).await;
    let end = Instant::now() + Duration::from_secs(60);
    while site.fault(&["list"]).await["faults"] != json!([]) {
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(site.read().await.status, 200);
    assert_eq!(site.dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn faults_of_database_provider_and_instances_end_with_clear_or_by_their_nature() {
    let site = Site::start().await;
    let staging = ["--stage", "staging"];
    let with = |words: &[&'static str]| [words, &staging].concat();

    let before = site.database_url().await.json();
    site.fault(&with(&["rotate-credentials"])).await;
    assert_ne!(site.database_url().await.json(), before);
    assert_eq!(site.read().await.status, 200);

    // No stage is named, as all have one server.
    site.fault(&["restart"]).await;
    assert_eq!(site.read().await.status, 200);
    assert_eq!(site.write().await.status, 201);

    site.fault(&with(&["read-only"])).await;
    assert_eq!(site.read().await.status, 200);
    assert_ne!(site.write().await.status, 201);
    assert_eq!(site.ask("GET", "production", "").await.status, 200);
    site.clear("read_only").await;
    assert_eq!(site.write().await.status, 201);

    // What has a connection keeps it, and a new instance gets none.
    site.fault(&with(&["connections-full"])).await;
    site.fault(&with(&["kill"])).await;
    // The fault takes the connections that the instances had, once the server has noticed their end. A new
    // instance that is faster gets one of them.
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        sleep_until_gone(&site).await;
        let status = site.read().await.status;
        if status == 503 {
            break;
        }
        assert!(Instant::now() < end, "{status}");
    }
    site.clear("connections_full").await;
    assert_eq!(site.read().await.status, 200);

    for (words, name, status) in [
        (&["expired-token"][..], "expired_token", 401),
        (&["api-429", "--retry-after", "7"], "api_429", 429),
        (&["api-500"], "api_500", 500),
    ] {
        // The API is that of all stages.
        let is_of_a_stage = !words[0].starts_with("api-");
        site.fault(&if is_of_a_stage {
            with(words)
        } else {
            words.to_vec()
        })
        .await;
        let refused = site.database_url().await;
        assert_eq!(refused.status, status, "{name}");
        if status == 429 {
            assert_eq!(refused.header("retry-after"), "7");
        }
        // Functions that have a connection need no provider.
        assert_eq!(site.read().await.status, 200);
        site.clear(name).await;
        assert_eq!(site.database_url().await.status, 200);
    }
    site.fault(&["api-hang"]).await;
    let early = timeout(Duration::from_millis(300), site.database_url()).await;
    assert!(early.is_err());
    site.clear("api_hang").await;
    assert_eq!(site.database_url().await.status, 200);

    assert!(stopped(&site.dev).is_empty());
    site.fault(&with(&["freeze", "--function", "guestbook"]))
        .await;
    wait_for_stopped(&site.dev, 1).await;
    let thawed = site.fault(&with(&["thaw"])).await;
    assert_eq!(thawed["ended"][0]["type"], "freeze");
    wait_for_stopped(&site.dev, 0).await;
    assert_eq!(site.read().await.status, 200);

    for (words, reason) in [
        (&["stall"][..], "name the local stage with --stage"),
        (&["stall", "--stage", "qa"], "has no stage \\\"qa\\\""),
        (
            &["fail-over", "--for", "5s", "--stage", "staging"],
            "happens once",
        ),
        (
            &["kill", "--function", "other", "--stage", "staging"],
            "has no function \\\"other\\\": it has guestbook",
        ),
        (&["list", "--for", "5s"], "--for is for a fault"),
        (&["api-500", "--stage", "staging"], "leave --stage out"),
    ] {
        let (is_done, output) = site.run(words).await;
        let text = output["error"].to_string();
        assert!(!is_done && text.contains(reason), "{words:?}: {output}");
    }
    // A frozen instance does not keep the site from ending.
    site.fault(&with(&["freeze"])).await;
    assert_eq!(site.dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn server_that_a_restart_keeps_down_starts_at_its_time_or_by_clear_and_not_at_the_end_of_dev()
{
    let site = Site::start().await;

    // The time of the first is up while the server is down, so its end fails at first.
    site.fault(&["read-only", "--stage", "staging", "--for", "5s"])
        .await;
    let both = site.fault(&["restart", "--for", "8s"]).await;
    let restart = &both["faults"][1];
    assert_eq!(restart["fault"]["type"], "restart", "{both}");
    assert_eq!(restart["stage"], Value::Null, "{both}");
    let left = restart["ends_in_ms"].as_u64().expect("milliseconds");
    let begun = Instant::now();
    assert!(asks_for_tls(site.port().await).await.is_err());
    let mut still = both["faults"].clone();
    while still != json!([]) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{still}");
        sleep(Duration::from_millis(100)).await;
        still = site.fault(&["list"]).await["faults"].clone();
    }
    // Less a second for the way of the answer.
    assert!(begun.elapsed() + Duration::from_secs(1) > Duration::from_millis(left));
    assert_eq!(site.read().await.status, 200);
    assert_eq!(site.write().await.status, 201);

    // The server starts before the end of what needs it.
    site.fault(&["read-only", "--stage", "staging"]).await;
    site.fault(&["restart", "--for", "1h"]).await;
    let cleared = site.fault(&["clear"]).await;
    let ended = cleared["ended"].as_array().expect("faults");
    let ended: Vec<_> = ended.iter().map(|fault| &fault["type"]).collect();
    assert_eq!(ended, ["restart", "read_only"], "{cleared}");
    assert_eq!(cleared["faults"], json!([]));
    assert_eq!(site.read().await.status, 200);
    assert_eq!(site.write().await.status, 201);

    site.fault(&["restart", "--for", "1h"]).await;
    // It is waited for 30 s at most.
    assert_eq!(site.dev.end(Signal::SIGINT).await, Some(0));
}

/// Waits until so many processes are stopped: each gets the signal when it runs next.
async fn wait_for_stopped(dev: &Dev, expected: usize) {
    let end = Instant::now() + Duration::from_secs(60);
    while stopped(dev).len() != expected {
        assert!(Instant::now() < end, "{:?}", stopped(dev));
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the killed instances are gone, so that none gets the next request.
async fn sleep_until_gone(site: &Site) {
    let end = Instant::now() + Duration::from_secs(60);
    while site.run(&["kill", "--stage", "staging"]).await.0 {
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(100)).await;
    }
}
