//! The lines of requests in `stagelink dev`, for people and for machines; schedules, `stagelink invoke`,
//! and the port of each stage.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use stagelink_tests::{SmallProject, send, stagelink_command};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A function without dependencies that speaks with the Runtime API, logs, and returns an event of its
/// own, or the body of a request.
const ECHO: &str = r##"
use std::io::{Read, Write};
use std::net::TcpStream;

fn call(api: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(api).unwrap();
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn main() {
    println!("starting");
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    loop {
        let event = call(&api, "GET /2018-06-01/runtime/invocation/next", "");
        let (head, event) = event.split_once("\r\n\r\n").unwrap();
        let id = "lambda-runtime-aws-request-id: ";
        let id = head.lines().find_map(|line| line.strip_prefix(id)).unwrap();
        println!(" INFO Lambda runtime invoke{{requestId=\"{id}\"}}: invocation{{stage=x}}: hello: own\u{1b}[2Jline");
        println!(" INFO Lambda runtime invoke{{requestId=\"{id}\"}}: stagelink::pool: noise");
        println!("END RequestId: {id}");
        if event.contains("break") {
            call(&api, &format!("POST /2018-06-01/runtime/invocation/{id}/error"), "{\"errorType\": \"Broken\"}");
            continue;
        }
        let response = match event.contains("httpMethod") {
            true => format!("{{\"statusCode\": 201, \"body\": {event:?}}}"),
            false => event.to_owned(),
        };
        call(&api, &format!("POST /2018-06-01/runtime/invocation/{id}/response"), &response);
    }
}
"##;

const NETLIFY: &str = "[build]\npublish = \"public\"\n[functions]\ndirectory = \"functions\"\n\
                       [functions.\"hello\"]\nschedule = \"@monthly\"\n\
                       [functions.\"gone\"]\nschedule = \"@daily\"\n";

fn project() -> SmallProject {
    SmallProject::with(&[
        ("netlify.toml", NETLIFY),
        ("public/index.html", "home\n"),
        ("functions/hello/src/main.rs", ECHO),
    ])
}

/// A running `stagelink dev`, whose output ends with it.
struct Running<L> {
    _child: Child,
    lines: Lines<L>,
    _temporary: tempfile::TempDir,
}

async fn command(project: &SmallProject, arguments: &[&str]) -> Command {
    let mut command = Command::new(stagelink_command().await);
    command
        .args(arguments)
        .current_dir(project.root())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Starts it with the lines of its output that a test reads.
async fn start(
    project: &SmallProject,
    arguments: &[&str],
    reads_errors: bool,
) -> (Running<impl AsyncBufRead + Unpin>, String) {
    let temporary = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a folder");
    let arguments = [&["dev", "--port", "0"], arguments].concat();
    let mut command = command(project, &arguments).await;
    command
        .env("TMPDIR", temporary.path())
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(match reads_errors {
            true => Stdio::piped(),
            false => Stdio::null(),
        });
    let mut child = command.spawn().expect("the command starts");
    let stdout = child.stdout.take().expect("its output");
    let mut stdout = BufReader::new(stdout).lines();
    let mut table = String::new();
    let up = async {
        loop {
            let line = stdout.next_line().await.expect("its output");
            let line = line.expect("it comes up");
            table.push_str(&line);
            table.push('\n');
            if line.starts_with("Ctrl-C stops") || line.starts_with('{') {
                break;
            }
        }
    };
    timeout(Duration::from_secs(300), up)
        .await
        .expect("it is up in time");
    let output: Box<dyn AsyncBufRead + Unpin + Send> = match child.stderr.take() {
        Some(stderr) => Box::new(BufReader::new(stderr)),
        None => Box::new(stdout.into_inner()),
    };
    let running = Running {
        _child: child,
        lines: output.lines(),
        _temporary: temporary,
    };
    (running, table)
}

impl<L: AsyncBufRead + Unpin> Running<L> {
    /// Returns the next line with this text.
    async fn line_with(&mut self, text: &str) -> String {
        self.lines_to(text).await.pop().expect("a line")
    }

    /// Returns the lines up to the next one with this text.
    async fn lines_to(&mut self, text: &str) -> Vec<String> {
        let mut read = Vec::new();
        let reading = async {
            while !read.last().is_some_and(|line: &String| line.contains(text)) {
                let line = self.lines.next_line().await.expect("output");
                read.push(line.expect("more output"));
            }
        };
        let is_read = timeout(Duration::from_secs(60), reading).await.is_ok();
        assert!(is_read, "no line with {text:?} after {read:?}");
        read
    }

    /// Returns the next object of this type.
    async fn object(&mut self, r#type: &str) -> Value {
        let line = self.line_with(&format!("\"type\":\"{type}\"")).await;
        serde_json::from_str(&line).expect("an object")
    }
}

#[tokio::test]
async fn request_is_one_line_with_its_log_lines_and_no_noise() {
    let project = project();
    let (mut dev, table) = start(&project, &[], true).await;
    assert!(
        table.contains("schedule of hello in stage production (UTC): @monthly, next 20"),
        "{table}"
    );
    dev.line_with("the schedule of gone runs nothing").await;
    // The port of staging alone, by a name that each program resolves.
    let at = table.split("http://localhost:").nth(1).expect("a port");
    let port: String = at.chars().take_while(char::is_ascii_digit).collect();
    let url = format!("http://127.0.0.1:{port}/.netlify/functions/hello");
    let answer = send("POST", &format!("{url}/a%1b?key=s3cret"), &[], "x").await;
    assert_eq!(answer.status, 201);
    let id = answer.header("x-nf-request-id");
    let id = &id[id.len() - 6..];

    let line = dev.line_with("POST").await;
    assert!(
        !line.contains("s3cret") && !line.contains('\u{1b}'),
        "{line:?}"
    );
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[1..3], ["staging", "POST"], "{line}");
    assert_eq!(
        words[3..5],
        ["/.netlify/functions/hello/a%1b", "201"],
        "{line}"
    );
    assert!(line.contains("  cold ") && line.ends_with(id), "{line}");
    // Not reported is not zero.
    assert!(!line.contains("database"), "{line}");
    let starting = dev.line_with("").await;
    assert_eq!(starting.trim(), format!("{id} starting"));
    let own = dev.line_with("").await;
    assert_eq!(own.trim(), format!("{id} INFO hello: own\\u{{1b}}[2Jline"));

    // The noise in between is left out.
    send("POST", &url, &[], "break").await;
    let lines = dev.lines_to(" 502 ").await;
    let is_noise = |line: &String| line.contains("noise") || line.contains("END RequestId");
    assert!(!lines.iter().any(is_noise), "{lines:?}");
    let failed = lines.last().expect("a line");
    assert!(words_of(failed).contains(" warm Broken "), "{lines:?}");
    dev.line_with("Error: Broken").await;
    // The page of a file has no function.
    send("GET", &format!("http://localhost:{port}/"), &[], "").await;
    let file = dev.line_with("GET").await;
    assert!(!file.contains("warm") && file.contains(" 200 "), "{file}");
    // Other names lead nowhere at this port.
    let other = send("GET", &format!("http://other.localhost:{port}/"), &[], "").await;
    assert_eq!(other.status, 404);
}

/// A project whose function reports phases, and is slow when it is told to be.
fn project_with_phases() -> SmallProject {
    SmallProject::with(&[
        ("netlify.toml", "[build]\npublish = \"public\"\n"),
        ("public/index.html", "home\n"),
        (
            "functions/hello/src/main.rs",
            include_str!("board/notes/main.rs"),
        ),
    ])
}

/// Returns the address of the function at staging's own port.
fn function_at(table: &str) -> String {
    let at = table.split("http://localhost:").nth(1).expect("a port");
    let port: String = at.chars().take_while(char::is_ascii_digit).collect();
    format!("http://127.0.0.1:{port}/.netlify/functions/hello")
}

#[tokio::test]
async fn line_of_a_request_has_its_time_with_the_database_and_its_connection() {
    let project = project_with_phases();
    let (mut dev, table) = start(&project, &[], true).await;
    let url = function_at(&table);
    send("GET", &url, &[], "").await;
    let line = dev.line_with(" 200 ").await;
    assert!(
        words_of(&line).contains(" database 21 ms in 1 round trip "),
        "{line}"
    );
    let line = dev.line_with("a connection").await;
    let phases = "credentials 6.3 ms, tcp 0.2 ms, tls 9.7 ms, login 9.4 ms";
    assert!(
        line.ends_with(&format!("opened a connection: {phases}")),
        "{line}"
    );
    send("GET", &format!("{url}/stall"), &[], "").await;
    let line = dev.line_with("opened no connection").await;
    assert!(
        line.ends_with("tcp 0.2 ms, tls 40 ms without an end"),
        "{line}"
    );

    // A stream is noted once, since Netlify is not known to do it.
    for _ in 0..2 {
        let streamed = send("GET", &format!("{url}/stream"), &[], "").await;
        assert_eq!(streamed.text(), "streamed");
    }
    let line = dev.line_with("streams its response").await;
    assert!(
        line.starts_with("  ! hello streams its response") && line.contains("netlify.md"),
        "{line}"
    );

    // One that takes more than a second has a line before its end, and so has its log.
    let slow = tokio::spawn({
        let url = format!("{url}/slow");
        async move { send("GET", &url, &[], "").await }
    });
    let line = dev.line_with("… it runs").await;
    assert!(line.contains("/.netlify/functions/hello/slow"), "{line}");
    dev.line_with("INFO notes: a line of the function").await;
    let line = dev.line_with("/slow").await;
    assert!(line.contains(" 200 "), "{line}");
    slow.await.expect("an answer");

    // A client that does not wait.
    let mut stream = TcpStream::connect(url.split('/').nth(2).expect("an address"))
        .await
        .expect("a stream");
    let head = "GET /.netlify/functions/hello/slow HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("a request");
    dev.line_with("… it runs").await;
    drop(stream);
    let line = dev.line_with("/slow").await;
    assert!(words_of(&line).contains(" gone "), "{line}");
}

#[tokio::test]
async fn verbose_log_has_the_lines_of_the_runtime() {
    for (arguments, shows) in [(&["-v"][..], true), (&[], false)] {
        let project = project_with_phases();
        let (mut dev, table) = start(&project, arguments, true).await;
        send("GET", &function_at(&table), &[], "").await;
        dev.line_with(" 200 ").await;
        let mut lines = Vec::new();
        loop {
            let line = dev
                .lines
                .next_line()
                .await
                .expect("output")
                .expect("a line");
            let is_last = line.contains("a line of the function");
            lines.push(line);
            if is_last {
                break;
            }
        }
        let has_start = lines.iter().any(|line| line.contains("START RequestId: "));
        assert_eq!(has_start, shows, "{lines:?}");
        // The whole line, with the spans that repeat the request's id.
        let own = lines.last().expect("a line");
        assert_eq!(own.contains("requestId="), shows, "{own}");
    }
}

#[tokio::test]
async fn schedule_of_each_minute_runs_by_the_clock_in_production_alone() {
    let project = project();
    project.write("netlify.toml", &NETLIFY.replace("@monthly", "* * * * *"));
    let (mut dev, _) = start(&project, &["--json"], false).await;
    let mut runs = Vec::new();
    // Two minutes have begun at the latest after 120 s.
    while runs.len() < 2 {
        let line = timeout(Duration::from_secs(130), dev.lines.next_line()).await;
        let line = line.expect("a line in time").expect("output");
        let object: Value = serde_json::from_str(&line.expect("more output")).expect("JSON");
        if object["type"] == "request" {
            runs.push(object);
        }
    }
    for run in &runs {
        assert_eq!(
            (&run["trigger"], &run["stage"], &run["status"]),
            (&json!("schedule"), &json!("production"), &json!(201)),
            "{run}"
        );
    }
    let minute = |run: &Value| run["time"].as_str().expect("a time")[..16].to_owned();
    assert_ne!(minute(&runs[0]), minute(&runs[1]), "{runs:?}");
}

#[tokio::test]
async fn scheduled_function_is_invoked_and_requests_are_objects_for_machines() {
    let project = project();
    let (mut dev, up) = start(&project, &["--json"], false).await;
    let up: Value = serde_json::from_str(&up).expect("an object");
    assert_eq!(up["type"], "started");
    assert_eq!(
        (
            &up["schedules"][1]["function"],
            &up["schedules"][1]["stage"]
        ),
        (&json!("hello"), &json!("production"))
    );
    let staging = &up["stages"][0];
    let at_port = staging["port_url"].as_str().expect("a URL");
    assert!(at_port.starts_with("http://localhost:") && staging["url"] != *at_port);
    let production = &up["stages"][1];
    assert_eq!(production["url"], production["port_url"]);

    let invoke = async |arguments: &[&str]| {
        let arguments = [&["invoke"], arguments].concat();
        let output = command(&project, &arguments).await.output().await;
        let output = output.expect("the command runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    // Its schedule's own request, as Netlify sends it.
    let (code, event, errors) = invoke(&["hello"]).await;
    assert_eq!(code, Some(0), "{errors}");
    let event: Value = serde_json::from_str(&event).expect("the event");
    assert_eq!(event["httpMethod"], "POST");
    assert_eq!(event["headers"]["x-nf-event"], "schedule");
    assert_eq!(event["headers"]["user-agent"], "Netlify Clockwork");
    let body = event["body"].as_str().expect("a body");
    assert!(
        body.starts_with("{\"next_run\":\"20") && body.ends_with("Z\"}"),
        "{body}"
    );
    let run = dev.object("request").await;
    assert_eq!(
        (
            &run["trigger"],
            &run["stage"],
            &run["status"],
            &run["start"]
        ),
        (
            &json!("invoke"),
            &json!("production"),
            &json!(201),
            &json!("cold")
        )
    );
    assert!(run["database"].is_null() && run["duration_ms"].is_f64());
    let lines = run["lines"].as_array().expect("lines");
    // Machines get the lines as they are.
    assert_eq!(lines[0]["line"], "starting");
    assert_eq!(lines.len(), 4, "{lines:?}");

    // An event of one's own, in another stage.
    project.write("event.json", r#"{"Records": [1]}"#);
    let arguments = [
        "hello",
        "--stage",
        "staging",
        "--data",
        "@event.json",
        "--json",
    ];
    let (code, reply, errors) = invoke(&arguments).await;
    assert_eq!(code, Some(0), "{errors}");
    let reply: Value = serde_json::from_str(&reply).expect("JSON");
    assert_eq!(reply["response"], json!({"Records": [1]}));
    assert_eq!(dev.object("request").await["id"], reply["id"]);
    let (code, _, errors) = invoke(&["hello", "--data", "{\"break\": 1}"]).await;
    assert!(code == Some(1) && errors.contains("Broken"), "{errors}");
    assert_eq!(dev.object("request").await["error"], "Broken");

    for (arguments, words) in [
        (
            &["hallo"][..],
            "there is no function \"hallo\": there are hello",
        ),
        (
            &["hello", "--stage", "qa"],
            "there is no local stage \"qa\"",
        ),
        (&["hello", "--data", "{"], "the event of --data is no JSON"),
        (
            &["hello", "--data", "@none.json"],
            "could not read none.json",
        ),
        (
            &["hello", "--port", "1"],
            "no `stagelink dev` runs at port 1",
        ),
    ] {
        let (code, _, errors) = invoke(arguments).await;
        assert!(
            code == Some(2) && errors.contains(words),
            "{arguments:?}: {errors}"
        );
    }
}

#[tokio::test]
async fn function_without_a_schedule_is_invoked_with_a_sample_request_that_is_told() {
    let project = SmallProject::with(&[
        (
            "netlify.toml",
            "[build]\npublish = \"public\"\n[functions]\ndirectory = \"functions\"\n\
             [[redirects]]\nfrom = \"/api/*\"\nto = \"/.netlify/functions/:splat\"\nstatus = 200\n",
        ),
        ("public/index.html", "home\n"),
        ("functions/hello/src/main.rs", ECHO),
    ]);
    let (mut dev, _) = start(&project, &["--json"], false).await;
    let invoke = async |arguments: &[&str]| {
        let arguments = [&["invoke", "hello"], arguments].concat();
        let output = command(&project, &arguments).await.output().await;
        output.expect("the command runs")
    };
    let output = invoke(&[]).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let words = "without --data it got a sample request: GET /api/hello\n";
    assert!(errors.contains(words), "{errors}");
    let event: Value = serde_json::from_slice(&output.stdout).expect("the event");
    assert_eq!(event["httpMethod"], "GET");
    assert_eq!(event["path"], "/api/hello");
    let run = dev.object("request").await;
    let told = [&run["trigger"], &run["method"], &run["path"]];
    assert_eq!(told, ["invoke", "GET", "/api/hello"]);

    let output = invoke(&["--json"]).await;
    let reply: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(reply["sample"], "GET /api/hello");
    // An event of one's own, by standard input.
    let mut piped = command(&project, &["invoke", "hello", "--json", "--data", "-"]).await;
    piped.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut piped = piped.spawn().expect("the command starts");
    let mut stdin = piped.stdin.take().expect("its input");
    stdin
        .write_all(b"{\"Records\": [2]}")
        .await
        .expect("an event");
    drop(stdin);
    let output = piped.wait_with_output().await.expect("it ends");
    let reply: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(reply["response"], json!({ "Records": [2] }));
    assert_eq!(reply["sample"], Value::Null);
}

/// Returns a line with one space between its words, without the widths of its columns.
fn words_of(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
