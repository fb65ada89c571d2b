//! Streamed responses that the Lambda Runtime API does not read, or whose connection breaks.
//!
//! The Runtime API is a script: the stand-in reads all that a function sends.

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use stagelink_tests::{HerokuFixture, sdk_example};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::warm::late_reset::{expect_reset, unless_late};
use crate::warm::{ANY, AT_WORK, sessions, until_sessions};

/// A function that streams a large result, with the Runtime API that it speaks to.
struct StreamingFunction {
    listener: TcpListener,
    process: Child,
}

impl StreamingFunction {
    async fn start(fixture: &HerokuFixture) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let mut command = Command::new(sdk_example("streaming").await);
        command.env_clear().envs(&fixture.variables);
        for (name, value) in [
            ("AWS_LAMBDA_RUNTIME_API", &*address),
            ("AWS_LAMBDA_FUNCTION_NAME", "streaming"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
        ] {
            command.env(name, value);
        }
        let process = command.stdout(Stdio::null()).kill_on_drop(true).spawn();
        let process = process.expect("a process");
        Self { listener, process }
    }

    /// Accepts a connection, and reads the head of its first request.
    async fn accept(&self) -> (TcpStream, String) {
        let accepted = async {
            let (mut stream, _) = self.listener.accept().await.expect("a connection");
            let head = head(&mut stream).await;
            (stream, head)
        };
        timeout(Duration::from_secs(20), accepted)
            .await
            .expect("a request")
    }

    /// Delivers an event whose invocation lasts this long, and returns the connection on which the
    /// response is, of which the first bytes are read, and the end of the invocation.
    async fn deliver(&self, length: Duration) -> (TcpStream, Instant) {
        let (mut stream, request) = self.accept().await;
        assert!(request.contains("/invocation/next"), "{request}");
        let event = json!({
            "version": "2.0", "rawPath": "/", "rawQueryString": "count=1000000",
            "headers": {"host": "localhost"},
            "requestContext": {"http": {"method": "GET", "path": "/"}, "stage": "$default"},
        });
        let event = event.to_string();
        let end = Instant::now() + length;
        let ends = SystemTime::now() + length;
        let ends = ends.duration_since(UNIX_EPOCH).expect("a time").as_millis();
        let response = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             lambda-runtime-aws-request-id: 1\r\nlambda-runtime-deadline-ms: {ends}\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:1:function:streaming\r\n\
             \r\n{event}",
            event.len()
        );
        stream
            .write_all(response.as_bytes())
            .await
            .expect("a reader");
        let request = head(&mut stream).await;
        assert!(request.contains("/invocation/1/response"), "{request}");
        stream.read_exact(&mut [0; 4096]).await.expect("a body");
        (stream, end)
    }

    fn pid(&self) -> Pid {
        let id = self.process.id().expect("a process that runs");
        Pid::from_raw(id.try_into().expect("an id"))
    }
}

/// Time before the end of an invocation at which its database work is given up.
const MARGIN: Duration = Duration::from_millis(300);

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    String::from_utf8(head).expect("text")
}

#[tokio::test]
async fn rows_that_are_not_read_are_given_up_at_the_deadline() {
    let fixture = HerokuFixture::new().await;
    let role = fixture.database.role();
    unless_late(role, async || {
        let function = StreamingFunction::start(&fixture).await;
        let length = Duration::from_secs(15);
        let (stream, end) = function.deliver(length).await;
        until_sessions(role, &AT_WORK, 1).await;
        // Nothing reads them, and no platform ends the process.
        until_sessions(role, &AT_WORK, 0).await;
        let took = (end - MARGIN).elapsed();
        // The function asks for the next event, on another connection.
        let (_next, request) = function.accept().await;
        assert!(request.contains("/invocation/next"), "{request}");
        let kept = sessions(role, &ANY).await;
        drop(stream);
        expect_reset(kept == 1, "the session is not kept", took)
    })
    .await;
}

/// Lambda may freeze the process as soon as it asks for the next event.
#[tokio::test]
async fn rows_of_a_response_that_breaks_are_given_up_before_the_next_event() {
    let fixture = HerokuFixture::new().await;
    let role = fixture.database.role();
    for _ in 0..3 {
        unless_late(role, async || {
            let function = StreamingFunction::start(&fixture).await;
            let (stream, _) = function.deliver(Duration::from_secs(60)).await;
            until_sessions(role, &AT_WORK, 1).await;
            drop(stream);
            let broken = Instant::now();
            loop {
                let (mut stream, request) = function.accept().await;
                if request.contains("/invocation/next") {
                    kill(function.pid(), Signal::SIGSTOP).expect("it runs");
                    break;
                }
                let accepted = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\
                    connection: close\r\n\r\n";
                stream.write_all(accepted).await.expect("a reader");
            }
            let took = broken.elapsed();
            let at_work = sessions(role, &AT_WORK).await;
            kill(function.pid(), Signal::SIGCONT).expect("it runs");
            drop(function);
            until_sessions(role, &ANY, 0).await;
            expect_reset(at_work == 0, "a statement outlasts its invocation", took)
        })
        .await;
    }
}
