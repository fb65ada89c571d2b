//! `stagelink dev --remote`: local functions on the real database of a stage, which they cannot write.

mod fixture;

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stagelink_tests::{
    Answer, CANARY, answer_project, as_superuser, descendants, end_sessions, root, send,
    stagelink_command,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{ChildStderr, Command};
use tokio::time::timeout;

use self::fixture::Remote;
use crate::dev::Dev;
use crate::status::{Run, mark};

async fn get(dev: &Dev) -> Answer {
    let url = format!(
        "{}/api/guestbook",
        dev.summary()["url"].as_str().expect("a URL")
    );
    send("GET", &url, &[], "").await
}

/// Has the other function run, too, and ends all.
async fn end(dev: Dev) {
    let url = format!(
        "{}/api/health",
        dev.summary()["url"].as_str().expect("a URL")
    );
    let answer = send("GET", &url, &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

async fn sign(dev: &Dev) -> Answer {
    let url = format!(
        "{}/api/guestbook",
        dev.summary()["url"].as_str().expect("a URL")
    );
    let entry = json!({ "name": "Eve", "message": "m" }).to_string();
    send(
        "POST",
        &url,
        &[("content-type", "application/json")],
        &entry,
    )
    .await
}

/// Returns what the board sends to a page that has just come.
async fn board_events(dev: &Dev) -> String {
    let (url, key) = dev.board().split_once("/#").expect("an address");
    let authority = url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(authority).await.expect("the board");
    let request = format!(
        "GET /api/events HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {key}\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .await
        .expect("a request");
    let mut text = String::new();
    while !text.contains("event: stages") || !text.ends_with("\n\n\r\n") {
        let mut bytes = [0; 4096];
        let read = timeout(Duration::from_secs(20), stream.read(&mut bytes)).await;
        let read = read.expect("events come").expect("events can be read");
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    text
}

async fn change_by_the_board(dev: &Dev, path: &str, body: &Value) -> Answer {
    let (url, key) = dev.board().split_once("/#").expect("an address");
    let bearer = format!("Bearer {key}");
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
    ];
    send("POST", &format!("{url}{path}"), &headers, &body.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_read_the_stages_real_database_and_no_write_gets_through() {
    let remote = Remote::marked().await;
    let dev = remote
        .start(&["--remote", "staging", "--config-var", "READER_URL"])
        .await;
    let started = &dev.summary()["remote"];
    assert_eq!(started["app"], "shop-staging");
    assert_eq!(started["role"], remote.reader);
    assert_eq!(
        started["access"],
        "read-only: a role without a right to write"
    );

    let answer = get(&dev).await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), dev.log());
    assert!(answer.text().contains("Ada"), "{}", answer.text());
    let refused = sign(&dev).await;
    assert!(refused.status.is_server_error(), "{}", refused.text());
    assert_eq!(remote.entries().await, 1);
    remote.record.add(refused.text());

    // No function has the operator's token, or a credential that may write.
    let secrets = [
        remote.clouds.heroku.api_key().to_owned(),
        remote.clouds.staging.url(),
    ];
    let functions = descendants(dev.pid());
    assert!(!functions.is_empty());
    for process in functions {
        let variables = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        let variables = String::from_utf8_lossy(&variables);
        for secret in &secrets {
            assert!(
                !variables.contains(secret),
                "a function has a secret of the operator's"
            );
        }
        assert!(!variables.contains(CANARY), "a variable has a password");
    }

    // The credentials are rotated, and the sessions end.
    remote.set_reader_password("second").await;
    as_superuser(&end_sessions(&remote.reader)).await;
    let answer = get(&dev).await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), dev.log());
    assert!(
        dev.log().contains("credentials have changed"),
        "{}",
        dev.log()
    );

    // The board shows that the data is real, and changes nothing without a terminal.
    let events = board_events(&dev).await;
    for part in [
        "\"remote\":{",
        "\"generation\":2",
        "a role without a right to write",
    ] {
        assert!(events.contains(part), "{part}: {events}");
    }
    let fault = json!({ "stage": "staging", "fault": { "type": "restart" } });
    let empty = json!({});
    for (path, body, reason) in [
        ("/api/faults", &fault, "real one"),
        ("/api/faults/clear", &empty, "real one"),
        ("/api/plans/plan-1/run", &empty, "no terminal to confirm at"),
    ] {
        let refused = change_by_the_board(&dev, path, body).await;
        assert_eq!(refused.status, 409, "{path}: {}", refused.text());
        assert!(
            refused.text().contains(reason),
            "{path}: {}",
            refused.text()
        );
    }
    // Nor does a command find it. Without a port it would find the site of another test.
    let url = dev.summary()["url"].as_str();
    let port = url.and_then(|url| url.rsplit(':').next()).expect("a port");
    let local = format!("--local={port}");
    let refusal = format!("no `stagelink dev` runs at port {port}");
    for words in [
        &["fault", "restart", &local][..],
        &["invoke", "guestbook", "--port", port],
        &["migrate", "staging", &local],
    ] {
        let output = Command::new(stagelink_command().await)
            .args(words)
            .current_dir(root())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("it runs");
        let errors = words_of(&String::from_utf8_lossy(&output.stderr));
        assert!(errors.contains(&refusal), "{words:?}: {errors}");
        assert!(!output.status.success());
    }
    for text in [events, dev.log(), dev.summary().to_string()] {
        remote.record.add(text);
    }
    remote.record.text();
    end(dev).await;
    assert_eq!(remote.entries().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn credential_that_may_write_is_taken_with_guarded_alone() {
    let remote = Remote::marked().await;
    let project = answer_project(&[]);
    let error = remote.refused(&project, &["--remote", "staging"]).await;
    for part in [
        "the credential of stage staging, DATABASE_URL of app shop-staging on Heroku, may write",
        "--config-var READER_URL",
        "`--guarded`, which only stops mistakes",
    ] {
        assert!(words_of(&error).contains(part), "{part}: {error}");
    }
    let dev = remote.start(&["--remote", "staging", "--guarded"]).await;
    assert!(dev.log().contains("only stops mistakes"), "{}", dev.log());
    assert_eq!(dev.summary()["remote"]["is_proved"], false);
    assert_eq!(get(&dev).await.status, 200, "{}", dev.log());
    // It is no failover: the write is refused at once, without another try.
    let refused = sign(&dev).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(remote.entries().await, 1);
    assert!(
        !dev.log().contains("credentials have changed"),
        "{}",
        dev.log()
    );
    remote.record.add(dev.log());
    remote.record.text();
    end(dev).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_to_write_is_found() {
    let remote = Remote::marked().await;
    let (reader, name) = (&remote.reader, remote.clouds.staging.name());
    let project = answer_project(&[]);
    let member = format!("writer_{name}");
    for (grant, revoke, right) in [
        (
            format!("GRANT UPDATE (message) ON guestbook TO {reader}"),
            format!("REVOKE UPDATE (message) ON guestbook FROM {reader}"),
            "may write to guestbook",
        ),
        (
            format!("GRANT USAGE ON SEQUENCE guestbook_id_seq TO {reader}"),
            format!("REVOKE ALL ON SEQUENCE guestbook_id_seq FROM {reader}"),
            "may change the sequence guestbook_id_seq",
        ),
        (
            format!("GRANT CREATE ON SCHEMA public TO {reader}"),
            format!("REVOKE CREATE ON SCHEMA public FROM {reader}"),
            "may create in the schema public",
        ),
        (
            // It does not inherit the right, and may take it by SET ROLE.
            format!(
                "CREATE ROLE {member}; GRANT DELETE ON guestbook TO {member}; GRANT {member} TO {reader}; \
                 ALTER ROLE {reader} NOINHERIT"
            ),
            format!("REVOKE {member} FROM {reader}"),
            "may write to guestbook",
        ),
        (
            format!("ALTER ROLE {reader} SUPERUSER"),
            format!("ALTER ROLE {reader} NOSUPERUSER"),
            "is or may become the superuser",
        ),
    ] {
        remote.in_staging(&grant).await;
        let words = ["--remote", "staging", "--config-var", "READER_URL"];
        let error = remote.refused(&project, &words).await;
        assert!(words_of(&error).contains(right), "{right}: {error}");
        remote.in_staging(&revoke).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_that_is_not_marked_as_the_stages_is_refused() {
    let remote = Remote::new().await;
    let project = answer_project(&[]);
    let words = ["--remote", "staging", "--config-var", "READER_URL"];
    let error = remote.refused(&project, &words).await;
    assert!(
        words_of(&error).contains("the database has no stage mark"),
        "{error}"
    );
    mark(&remote.clouds.staging, "production").await;
    let error = remote.refused(&project, &words).await;
    assert!(
        words_of(&error).contains("is marked as stage production's"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn production_takes_its_word_and_its_name_at_a_terminal() {
    let remote = Remote::marked().await;
    let schedule = "[build]\npublish = \"public\"\n[functions.hello]\nschedule = \"* * * * *\"\n";
    let project = answer_project(&[("netlify.toml", schedule)]);
    let error = remote
        .refused(&project, &["--remote", "production", "--guarded"])
        .await;
    assert!(words_of(&error).contains("add --production"), "{error}");
    let words = [
        "--remote",
        "production",
        "--guarded",
        "--production",
        "--port",
        "0",
    ];
    let error = remote.refused(&project, &words).await;
    assert!(
        words_of(&error).contains("standard input is no terminal"),
        "{error}"
    );
    for preview in ["review", "review/x"] {
        let error = remote.refused(&project, &["--remote", preview]).await;
        assert!(
            words_of(&error).contains("--remote takes no preview"),
            "{error}"
        );
    }

    let typed = async |before: &str, answer: &str| {
        let terminal = openpty(None, None).expect("a terminal");
        let mut keyboard = File::from(terminal.master);
        keyboard.write_all(before.as_bytes()).expect("keys");
        let mut command = remote.dev(project.path(), &words).await;
        command.arg("--json").stdin(terminal.slave);
        let mut child = command.spawn().expect("it starts");
        let mut errors = child.stderr.take().expect("its errors");
        let shown = read_until(&mut errors, "shop-production to go on:").await;
        keyboard.write_all(answer.as_bytes()).expect("an answer");
        (keyboard, child, errors, shown)
    };
    // What was typed before the question is no answer to it.
    let (_keyboard, child, mut errors, mut shown) =
        typed("shop-production\n", "shop-staging\n").await;
    let ended = timeout(Duration::from_secs(60), errors.read_to_end(&mut shown)).await;
    ended.expect("it ends").expect("errors can be read");
    let mut output = child.wait_with_output().await.expect("it runs");
    output.stderr = shown;
    let run = Run::new(&output, &remote.record);
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(
        words_of(&run.errors).contains("not the name shop-production"),
        "{}",
        run.errors
    );

    // A signal ends the command while it asks.
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (_keyboard, mut child, _errors, _) = typed("", "").await;
        let pid = child.id().expect("it runs").cast_signed();
        kill(Pid::from_raw(pid), signal).expect("a signal");
        let ended = timeout(Duration::from_secs(20), child.wait()).await;
        assert!(ended.expect("it ends in time").expect("it ran").success());
    }

    let (_keyboard, mut child, _errors, _) = typed("", "shop-production\n").await;
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let line = timeout(Duration::from_secs(120), lines.next_line()).await;
    let line = line.expect("it is up").expect("a line").expect("a line");
    let started: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(started["remote"]["app"], "shop-production");
    // The published deploy's schedule would fire each minute; this has no clock.
    assert!(started.get("schedules").is_none(), "{started}");
    // Each request says that the data is real.
    let url = started["url"].as_str().expect("a URL");
    let answer = send("GET", &format!("{url}/.netlify/functions/hello"), &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let next = timeout(Duration::from_secs(20), lines.next_line()).await;
    let next = next
        .expect("a line in time")
        .expect("a line")
        .expect("a line");
    let request: Value = serde_json::from_str(&next).expect("JSON");
    assert_eq!(
        (&request["stage"], &request["is_remote"]),
        (&json!("production"), &json!(true))
    );
    // A schedule of each minute would fire at the next one.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    let left = Duration::from_secs(62 - now.as_secs() % 60);
    let fired = timeout(left, lines.next_line()).await;
    assert!(fired.is_err(), "{fired:?}");
    remote.record.add(line);
    remote.record.add(next);
    remote.record.text();
}

/// Reads until a text was shown, and returns all that was.
async fn read_until(from: &mut ChildStderr, text: &str) -> Vec<u8> {
    let mut shown = Vec::new();
    while !words_of(&String::from_utf8_lossy(&shown)).contains(text) {
        let read = timeout(Duration::from_secs(120), from.read_buf(&mut shown)).await;
        let read = read.expect("it is shown").expect("errors can be read");
        assert!(read > 0, "{text}: {}", String::from_utf8_lossy(&shown));
    }
    shown
}

/// Returns a text with one space between its words, as it was before it was wrapped.
fn words_of(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
