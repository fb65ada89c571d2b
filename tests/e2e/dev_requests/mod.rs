//! Requests and invocations that `stagelink dev` shows, with a function that needs no dependencies.

mod invocations;
mod lines;

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use stagelink_tests::{SmallProject, stagelink_command};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A function without dependencies that speaks with the Runtime API, logs, and returns an event of its
/// own, or the body of a request. To a schedule it answers a second after it has logged: its record has all lines
/// on a busy machine, too, which shows no noise that comes later.
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
        if event.contains("x-nf-event") {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
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
