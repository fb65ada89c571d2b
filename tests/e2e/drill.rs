//! `stagelink drill`: it passes on the guestbook, and catches a function that doubles writes.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use stagelink_local_postgres::{Server, ServerOptions};
use stagelink_tests::{SmallProject, root, send, stagelink_command};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::dev::Dev;

/// The guestbook's.
const REQUESTS: &str = "functions/guestbook/drill.toml";

const PASSWORD: &str = "of-a-role-of-this-test-alone";

/// Runs a drill, and returns its exit code and its report.
async fn drill(folder: &std::path::Path, words: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(stagelink_command().await)
        .current_dir(folder)
        .args(["drill", "--json"])
        .args(words)
        .output()
        .await
        .expect("the command runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{errors}"));
    (output.status.code(), report)
}

#[tokio::test]
async fn guestbook_keeps_its_promises_in_a_short_drill() {
    let dev = Dev::start(&[]).await;
    let url = dev.stage("staging")["url"].as_str().expect("a URL");
    let local = format!("--local={}", url.rsplit(':').next().expect("a port"));
    let words = ["--for", "1s", "--requests", REQUESTS, &local];
    let (code, report) = drill(root(), &words).await;
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["is_as_expected"], true);
    let cases = report["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 15, "one for each fault");
    for case in cases {
        let most = u64::from(case["fault"] == "kill");
        assert!(case["reads"]["failed"].as_u64() <= Some(most), "{case}");
        assert_eq!(case["kept"]["lost"], 0, "{case}");
        assert_eq!(case["kept"]["doubled"], 0, "{case}");
        assert_eq!(case["kept"]["once"], case["writes"]["sent"], "{case}");
        // Three readers and a writer of each of four clients, which wait for nothing else.
        let met = [&case["reads"]["met"], &case["writes"]["met"]].map(Value::as_u64);
        assert!(met[0] >= Some(12) && met[1] >= Some(4), "{case}");
        assert_eq!(case["not_drilled"], Value::Null, "{case}");
    }

    // Nothing declares what is sent, and there is no such case or stage.
    for (words, reason) in [
        (&["--fault", "stall"][..], "is not declared"),
        (
            &["--fault", "flood", "--requests", REQUESTS],
            "no case is called",
        ),
        (&["qa", "--requests", REQUESTS], "has no stage \\\"qa\\\""),
    ] {
        let (code, report) = drill(root(), &[words, &[&local]].concat()).await;
        assert_eq!(code, Some(2), "{report}");
        assert!(report["error"].to_string().contains(reason), "{report}");
    }

    // A fault of the operator's is named and left alone.
    let latency = ["latency", "--latency", "1", "--stage", "staging"];
    let faults = fault(&[&[&*local][..], &latency].concat()).await;
    let words = ["--for", "1s", "--requests", REQUESTS, &local];
    let (code, report) = drill(root(), &words).await;
    assert_eq!(code, Some(2), "{report}");
    let error = report["error"].as_str().expect("an error");
    assert!(error.contains("has a fault already: latency"), "{error}");
    assert_eq!(fault(&[&local, "list"]).await, faults);
    drop(dev);
}

/// Runs `stagelink fault`, and returns the faults that last.
async fn fault(words: &[&str]) -> Value {
    let output = Command::new(stagelink_command().await)
        .current_dir(root())
        .args(["fault", "--json"])
        .args(words)
        .output()
        .await
        .expect("the command runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    report["faults"].clone()
}

/// The longest faults for which no read may fail. The short drill has each fault for a second.
#[tokio::test]
async fn no_read_fails_while_the_database_stalls_for_five_seconds() {
    let dev = Dev::start(&[]).await;
    let url = dev.stage("staging")["url"].as_str().expect("a URL");
    let local = format!("--local={}", url.rsplit(':').next().expect("a port"));
    let words = ["--fault", "stall", "--for", "5s", "--requests", REQUESTS];
    let (code, report) = drill(root(), &[&words[..], &[&local]].concat()).await;
    assert_eq!(code, Some(0), "{report}");
    let [case] = &report["cases"].as_array().expect("cases")[..] else {
        panic!("one case: {report}");
    };
    assert_eq!(case["fault"], "stall", "{report}");
    assert_eq!(case["reads"]["failed"], 0, "{report}");
    assert_eq!(case["kept"]["lost"], 0, "{report}");
    assert_eq!(case["kept"]["doubled"], 0, "{report}");
    // They have waited for its end: the fault was there for as long as it says.
    assert!(case["reads"]["met"].as_u64() >= Some(12), "{report}");
    assert!(
        case["reads"]["slowest_ms"].as_u64() >= Some(4_000),
        "{report}"
    );
}

#[tokio::test]
async fn drill_on_another_programs_server_leaves_out_its_restart() {
    let server = Server::start(ServerOptions::new()).await.expect("a server");
    let role = format!("CREATE ROLE boss SUPERUSER LOGIN PASSWORD '{PASSWORD}'");
    let admin = server.connect_as_superuser().await.expect("a session");
    admin.batch_execute(&role).await.expect("a role");
    let port = server.port();
    let postgres = format!("postgres://boss:{PASSWORD}@127.0.0.1:{port}/postgres");
    let dev = Dev::start(&["--postgres", &postgres]).await;
    let url = dev.stage("staging")["url"].as_str().expect("a URL");
    let local = format!("--local={}", url.rsplit(':').next().expect("a port"));
    let words = ["--for", "500ms", "--requests", REQUESTS, &local];
    let (code, report) = drill(root(), &words).await;
    assert_eq!(code, Some(0), "{report}");
    let cases = report["cases"].as_array().expect("cases");
    let left_out: Vec<_> = cases
        .iter()
        .filter(|case| !case["not_drilled"].is_null())
        .collect();
    assert_eq!(left_out.len(), 1, "{report}");
    assert_eq!(left_out[0]["fault"], "restart");
    let reason = left_out[0]["not_drilled"].as_str().expect("a reason");
    assert!(reason.contains("another program runs it"), "{reason}");

    // A drill of nothing is no success.
    let words = ["--fault", "restart", "--requests", REQUESTS, &local];
    let (code, report) = drill(root(), &words).await;
    assert_eq!(code, Some(1), "{report}");
    let error = report["error"].as_str().expect("an error");
    assert!(error.contains("no case could be drilled here"), "{error}");
}

#[tokio::test]
async fn drill_that_is_interrupted_ends_its_faults_and_says_what_it_did() {
    let dev = Dev::start(&[]).await;
    let url = dev.stage("staging")["url"].as_str().expect("a URL");
    let local = format!("--local={}", url.rsplit(':').next().expect("a port"));
    let faults = async |words: &[&str]| fault(&[&[&*local][..], words].concat()).await;
    // Another stage's fault is none of the drill's.
    faults(&["latency", "--latency", "1", "--stage", "production"]).await;
    let of_stage = |fault: &Value| fault["stage"] == "staging";
    let words = ["--fault", "stall", "--fault", "latency"];
    let stderr = interrupted_drill(&local, &words, of_stage).await;
    let words = "stopped by SIGINT in the case latency of stage staging, after 0 of 2 cases: its faults were ended";
    assert!(stderr.contains(words), "{stderr}");
    assert!(stderr.contains("their texts begin with drill-"), "{stderr}");
    let left = faults(&["list"]).await;
    let left = left.as_array().expect("faults");
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["stage"], "production", "{left:?}");

    // The server of all stages is down meanwhile.
    let of_all = |fault: &Value| fault["fault"]["type"] == "restart";
    let stderr = interrupted_drill(&local, &["--fault", "restart"], of_all).await;
    assert!(
        stderr.contains("its faults were ended (restart)"),
        "{stderr}"
    );
    assert_eq!(faults(&["list"]).await.as_array(), Some(left));
    let site = format!("{url}/api/guestbook");
    assert_eq!(send("GET", &site, &[], "").await.status, 200);
    drop(dev);
}

/// Starts a drill of five minutes, interrupts it when such a fault is active, and returns what it said.
async fn interrupted_drill(
    local: &str,
    words: &[&str],
    is_meant: impl Fn(&Value) -> bool,
) -> String {
    let drill = Command::new(stagelink_command().await)
        .current_dir(root())
        .arg("drill")
        .args(words)
        .args(["--for", "5m", "--requests", REQUESTS, local])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the command starts");
    let begun = async {
        loop {
            let active = fault(&[local, "list"]).await;
            if active.as_array().expect("faults").iter().any(&is_meant) {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(120), begun)
        .await
        .expect("the fault begins");
    let pid = i32::try_from(drill.id().expect("it runs")).expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("a signal");
    let output = drill.wait_with_output().await.expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    stderr
}

/// No `stagelink dev` runs there, so the drill starts one.
#[tokio::test]
async fn function_that_doubles_writes_is_caught() {
    let project = SmallProject::with(&[
        ("functions/double/Cargo.toml", MANIFEST),
        ("stagelink.toml", SETTINGS),
    ]);
    let stored = project.root().join("stored");
    let source = SOURCE.replace("STORED", stored.to_str().expect("a path"));
    project.write("functions/double/src/main.rs", &source);
    let words = ["--fault", "latency", "--for", "500ms"];
    let (code, report) = drill(project.root(), &words).await;
    assert_eq!(code, Some(1), "{report}");
    let case = &report["cases"][0];
    assert!(case["kept"]["doubled"].as_u64() > Some(0), "{report}");
    assert_eq!(case["kept"]["lost"], 0, "{report}");
    let unexpected = case["unexpected"].to_string();
    assert!(unexpected.contains("stored more than once"), "{report}");
}

const MANIFEST: &str = "[package]\nname = \"double\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";

const SETTINGS: &str = r#"
[drill]
read = "/.netlify/functions/double"
write = { path = "/.netlify/functions/double?id={id}", body = "x" }
count = { path = "/.netlify/functions/double" }
"#;

/// A function without a library. It stores the ids of its writes in a file, the second one of each
/// client twice.
const SOURCE: &str = r#"
use std::io::{Read, Write};

fn main() {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    loop {
        let next = ask(&api, "GET", "next", "");
        let lower = next.to_ascii_lowercase();
        let start = lower.find("lambda-runtime-aws-request-id: ").unwrap() + 31;
        let request = next[start..].lines().next().unwrap();
        if next.contains("\"POST\"") {
            let id = &next[next.find("drill-").unwrap()..];
            let end = id.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap();
            let times = if id[..end].ends_with("000001") { 2 } else { 1 };
            let mut file = std::fs::OpenOptions::new();
            let mut file = file.create(true).append(true).open("STORED").unwrap();
            for _ in 0..times {
                file.write_all(format!("{} ", &id[..end]).as_bytes()).unwrap();
            }
        }
        let stored = std::fs::read_to_string("STORED").unwrap_or_default();
        let answer = format!("{{\"statusCode\":200,\"body\":\"{stored}\"}}");
        ask(&api, "POST", &format!("{request}/response"), &answer);
    }
}

fn ask(api: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = std::net::TcpStream::connect(api).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} /2018-06-01/runtime/invocation/{path} HTTP/1.1\r\nhost: {api}\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
"#;
