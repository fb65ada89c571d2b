//! Real functions, built with `lambda_http` and by hand, as real processes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Function, FunctionConfig, InvokeError, LogLine, LogStream};

#[tokio::test]
async fn invocations_in_turn_reuse_one_instance() {
    let (function, _logs) = echo(|_| {});
    let first = answer(&function, event("/")).await;
    let second = answer(&function, event("/")).await;
    assert_eq!(first["pid"], second["pid"]);
    assert_ne!(first["request_id"], second["request_id"]);
    assert_eq!((function.instances(), function.started()), (1, 1));
    function.shutdown().await;
}

#[tokio::test]
async fn invocations_at_once_get_instances_of_their_own_that_are_reused() {
    let (function, _logs) = echo(|_| {});
    let gate = Gate::new().await;
    let run = || answer(&function, gate.event("/gate"));
    let open_both = async {
        // Both are inside before either may go on: they run at the same time.
        let (mut one, _) = gate.accept().await;
        let (mut two, _) = gate.accept().await;
        one.write_all(b".").await.unwrap();
        two.write_all(b".").await.unwrap();
    };
    let (one, two, ()) = tokio::join!(run(), run(), open_both);
    assert_ne!(one["pid"], two["pid"]);
    let third = answer(&function, event("/")).await;
    assert!([&one["pid"], &two["pid"]].contains(&&third["pid"]));
    assert_eq!(function.started(), 2);
    function.shutdown().await;
}

#[tokio::test]
async fn invocations_beyond_the_limit_wait_in_order() {
    let (function, _logs) = echo(|config| config.max_instances = 1);
    let gate = Gate::new().await;
    let run = |label| answer(&function, gate.labelled("/gate", label));
    let open_in_turn = async {
        for expected in ["a", "b", "c"] {
            let (mut running, label) = gate.accept().await;
            assert_eq!(label, expected);
            running.write_all(b".").await.unwrap();
        }
    };
    // They are polled, and so stand in line, in this order.
    let (a, b, c, ()) = tokio::join!(biased; run("a"), run("b"), run("c"), open_in_turn);
    assert!(a["pid"] == b["pid"] && b["pid"] == c["pid"]);
    assert_eq!(function.started(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn event_comes_with_what_lambda_tells_of_it() {
    let (function, _logs) = echo(|config| {
        config.timeout = Duration::from_secs(30);
        config.qualifier = Some("staging".to_owned());
    });
    let now_ms = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(now.as_millis()).unwrap()
    };
    let before = now_ms();
    let seen = answer(&function, event("/")).await;
    let deadline = seen["deadline_ms"].as_u64().unwrap();
    assert!((before + 30_000..=now_ms() + 30_000).contains(&deadline));
    assert_eq!(
        seen["arn"],
        "arn:aws:lambda:us-east-1:123456789012:function:echo:staging"
    );
    let trace_id = seen["trace_id"].as_str().unwrap();
    assert!(trace_id.starts_with("Root=1-") && trace_id.contains(";Parent="));
    assert!(uuid::Uuid::try_parse(seen["request_id"].as_str().unwrap()).is_ok());
    function.shutdown().await;
}

#[tokio::test]
async fn environment_holds_what_lambda_and_the_function_set_and_no_more() {
    assert!(std::env::vars().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
    let (function, _logs) = echo(|config| {
        config
            .environment
            .insert("APP_ENV".into(), "staging".into());
    });
    let seen = answer(&function, event("/")).await;
    let names: BTreeSet<&str> = seen["env"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = BTreeSet::from([
        "APP_ENV",
        "AWS_DEFAULT_REGION",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "LANG",
        "PATH",
        "TZ",
        "_HANDLER",
    ]);
    // The runtime sets one for the handler, and macOS one for every process.
    let by_others = ["_X_AMZN_TRACE_ID", "__CF_USER_TEXT_ENCODING"];
    let names: BTreeSet<&str> = names
        .into_iter()
        .filter(|name| !by_others.contains(name))
        .collect();
    assert_eq!(names, expected);
    assert_eq!(seen["env"]["APP_ENV"], "staging");
    assert_eq!(seen["env"]["LAMBDA_TASK_ROOT"], seen["cwd"]);
    function.shutdown().await;
}

#[tokio::test]
async fn invocation_over_its_limit_is_killed_with_all_it_started() {
    let limit = Duration::from_secs(1);
    let (function, mut logs) = echo(|config| config.timeout = limit);
    let gate = Gate::new().await;
    let run = function.invoke(gate.event("/fork/sleep"));
    let (error, (grandchild, _)) = tokio::join!(run, gate.hold());
    assert!(matches!(error, Err(InvokeError::TimedOut { limit: it }) if it == limit));
    assert_eq!(function.instances(), 0);
    ended(grandchild).await;
    logs.find(LogStream::Platform, "Task timed out after 1.00 seconds")
        .await;
    answer(&function, event("/")).await;
    assert_eq!(function.started(), 2);
    function.shutdown().await;
}

#[tokio::test]
async fn process_that_exits_is_named_with_its_status_and_replaced() {
    let (function, mut logs) = echo(|_| {});
    let detail = |error| match error {
        Err(InvokeError::Exited { detail }) => detail,
        other => panic!("{other:?}"),
    };
    let exited = detail(function.invoke(event("/exit")).await);
    assert_eq!(exited, "exit status: 3, while it ran");
    let killed = detail(function.invoke(event("/abort")).await);
    assert!(killed.contains("SIGABRT"), "{killed}");
    logs.find(
        LogStream::Platform,
        "Runtime exited while it ran: exit status: 3",
    )
    .await;
    answer(&function, event("/")).await;
    assert_eq!((function.instances(), function.started()), (1, 3));
    function.shutdown().await;
}

#[tokio::test]
async fn error_and_panic_are_the_functions_answer_and_leave_it_warm() {
    let (function, mut logs) = echo(|_| {});
    for path in ["/error", "/panic"] {
        let error = function.invoke(event(path)).await.unwrap_err();
        let text = format!("{error} {error:?}");
        let InvokeError::Function { error_message, .. } = error else {
            panic!("{error:?}");
        };
        assert!(error_message.contains("canary") && !text.contains("canary"));
        logs.find(LogStream::Platform, "canary").await;
    }
    answer(&function, event("/")).await;
    assert_eq!(function.started(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn answer_over_six_megabytes_is_refused_and_leaves_it_warm() {
    let (function, _logs) = echo(|_| {});
    let error = function.invoke(event("/big")).await.unwrap_err();
    assert!(
        matches!(&error, InvokeError::Function { error_type, .. }
            if error_type == "Function.ResponseSizeTooLarge"),
        "{error:?}"
    );
    let too_large = Bytes::from(vec![b' '; 7 * 1024 * 1024]);
    let error = function.invoke(too_large).await.unwrap_err();
    assert!(matches!(error, InvokeError::EventTooLarge { .. }));
    answer(&function, event("/")).await;
    assert_eq!(function.started(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn init_that_exits_fails_the_invocation_and_logs_the_reason() {
    let (function, mut logs) = echo(|config| probe(config, "PROBE_INIT", "exit"));
    let error = function.invoke(event("/")).await.unwrap_err();
    assert!(
        matches!(&error, InvokeError::Exited { detail }
            if detail == "exit status: 7, during its INIT"),
        "{error:?}"
    );
    // The line has no end, and still comes before the error does.
    assert!(logs.has(LogStream::Stderr, "no database"));
    assert_eq!((function.instances(), function.started()), (0, 1));
}

#[tokio::test]
async fn init_that_reports_an_error_fails_the_warm_up_with_it() {
    let (function, _logs) = echo(|config| probe(config, "PROBE_INIT", "error"));
    let error = function.warm_up().await.unwrap_err();
    let InvokeError::Function {
        error_type,
        error_message,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(
        (error_type.as_str(), error_message.as_str()),
        ("Probe.NoDatabase", "canary")
    );
}

#[tokio::test]
async fn init_over_its_limit_is_killed() {
    let limit = Duration::from_millis(300);
    let (function, _logs) = echo(|config| {
        probe(config, "PROBE_INIT", "hang");
        config.init_timeout = limit;
    });
    let error = function.invoke(event("/")).await.unwrap_err();
    assert!(matches!(error, InvokeError::InitTimedOut { limit: it } if it == limit));
    assert_eq!(function.instances(), 0);
}

#[tokio::test]
async fn missing_executable_is_named() {
    let function = Function::new(FunctionConfig::new("echo", "/nowhere/echo"));
    let error = function.invoke(event("/")).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/echo"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(function.started(), 0);
}

#[tokio::test]
async fn warm_up_starts_an_instance_that_the_next_event_finds() {
    let (function, _logs) = echo(|_| {});
    function.warm_up().await.unwrap();
    function.warm_up().await.unwrap();
    let warm = function.process_ids();
    let seen = answer(&function, event("/")).await;
    assert_eq!(json!(warm), json!([seen["pid"]]));
    assert_eq!(function.started(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn shutdown_lets_functions_close_and_leaves_no_process() {
    let (function, mut logs) = echo(|_| {});
    let gate = Gate::new().await;
    let running = function.invoke(gate.event("/gate"));
    let stop = async {
        let held = gate.accept().await;
        let (_, (grandchild, _)) =
            tokio::join!(answer(&function, gate.event("/fork")), gate.hold());
        let pids = function.process_ids();
        function.shutdown().await;
        drop(held);
        (pids, grandchild)
    };
    let (running, (pids, grandchild)) = tokio::join!(running, stop);
    assert!(matches!(running, Err(InvokeError::ShutDown)));
    assert_eq!(pids.len(), 2);
    for pid in pids {
        let pid = Pid::from_raw(pid.try_into().unwrap());
        assert_eq!(kill(pid, None), Err(Errno::ESRCH));
    }
    ended(grandchild).await;
    logs.find(LogStream::Stdout, "closed its pool").await;
    let later = function.invoke(event("/")).await;
    assert!(matches!(later, Err(InvokeError::ShutDown)));
    assert_eq!((function.instances(), function.started()), (0, 2));
}

#[tokio::test]
async fn last_handle_dropped_ends_the_instances() {
    let (function, _logs) = echo(|_| {});
    let gate = Gate::new().await;
    let (_, (process, _)) = tokio::join!(answer(&function, gate.event("/hold")), gate.hold());
    drop(function);
    ended(process).await;
}

#[test]
fn async_runtime_dropped_kills_the_processes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_function, process) = runtime.block_on(async {
        let (function, _logs) = echo(|_| {});
        let gate = Gate::new().await;
        let (_, (process, _)) = tokio::join!(answer(&function, gate.event("/fork")), gate.hold());
        (function, process.into_std().unwrap())
    });
    drop(runtime);
    process.set_nonblocking(false).unwrap();
    process.set_read_timeout(Some(PATIENCE)).unwrap();
    let read = std::io::Read::read(&mut &process, &mut [0]);
    assert!(matches!(read, Ok(0)), "{read:?}");
}

#[tokio::test]
async fn caller_that_goes_away_leaves_the_instance_in_use() {
    let (function, _logs) = echo(|config| config.max_instances = 1);
    let gate = Gate::new().await;
    let (mut running, _) = tokio::select! {
        _ = function.invoke(gate.event("/gate")) => panic!("the gate is shut"),
        running = gate.accept() => running,
    };
    // The call is gone, the event still runs, and the next one waits for it.
    let pids = function.process_ids();
    let mut next = pin!(answer(&function, event("/")));
    assert!(once(next.as_mut()).await.is_none());
    running.write_all(b".").await.unwrap();
    let seen = next.await;
    assert_eq!(json!(pids), json!([seen["pid"]]));
    assert_eq!(function.started(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn instance_that_exits_when_idle_is_replaced() {
    let (function, mut logs) = echo(|_| {});
    let gate = Gate::new().await;
    let (_, (process, _)) = tokio::join!(answer(&function, gate.event("/exit/later")), gate.hold());
    drop(process);
    logs.find(
        LogStream::Platform,
        "exited while it was idle: exit status: 0",
    )
    .await;
    answer(&function, event("/")).await;
    assert_eq!(function.started(), 2);
    function.shutdown().await;
}

#[tokio::test]
async fn event_that_a_dying_instance_never_fetched_runs_on_another() {
    let gate = Gate::new().await;
    let (function, _logs) = echo(|config| {
        probe(config, "PROBE_RUNTIME", "by hand");
        probe(config, "PROBE_GATE", &gate.address);
    });
    let (first, (process, _)) = tokio::join!(answer(&function, event("/")), gate.hold());
    // The process has answered and asks for nothing more, so the event that is
    // meant for it stays where it is.
    let mut second = pin!(answer(&function, event("/")));
    assert!(once(second.as_mut()).await.is_none());
    assert_eq!(function.started(), 1);
    drop(process);
    let second = second.await;
    assert_ne!(first["pid"], second["pid"]);
    assert_eq!(function.started(), 2);
    function.shutdown().await;
}

#[tokio::test]
async fn runtime_that_breaks_the_protocol_is_refused() {
    let (function, _logs) = echo(|config| probe(config, "PROBE_RUNTIME", "by hand"));
    let answers = answer(&function, event("/")).await;
    let refused = |answer: &str, status: &str, error_type: &str| {
        let answer = answers[answer].as_str().unwrap();
        let error: Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert_eq!(error["errorType"], error_type);
        assert!(error["errorMessage"].is_string());
    };
    refused("unknown", "400", "InvalidRequestID");
    refused("early", "403", "InvalidStateTransition");
    refused("stale", "410", "Runtime.InvokeTimeout");
    function.shutdown().await;
}

#[tokio::test]
async fn streamed_answer_is_collected() {
    let (function, _logs) = echo(|config| probe(config, "PROBE_RUNTIME", "streamed"));
    let response = answer_json(&function, event("/")).await;
    assert_eq!(response["statusCode"], 201);
    assert_eq!(response["multiValueHeaders"]["x-probe"], json!(["yes"]));
    assert_eq!(response["body"], "streamed");
    function.shutdown().await;
}

#[tokio::test]
async fn function_ends_by_itself_when_its_host_is_killed() {
    let gate = Gate::new().await;
    let mut host = Command::new(example("invoke"))
        .arg(example("echo"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut events = host.stdin.take().unwrap();
    events.write_all(&gate.event("/hold")).await.unwrap();
    events.write_all(b"\n").await.unwrap();
    let (function, _) = gate.hold().await;
    let mut answers = BufReader::new(host.stdout.take().unwrap()).lines();
    assert!(answers.next_line().await.unwrap().is_some());
    host.kill().await.unwrap();
    ended(function).await;
}

/// A function of the example `echo`, and its log.
fn echo(configure: impl FnOnce(&mut FunctionConfig)) -> (Function, Logs) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut config = FunctionConfig::new("echo", example("echo"));
    config.logs = Arc::new(move |line| {
        let _ = sender.send(line);
    });
    configure(&mut config);
    (Function::new(config), Logs(receiver))
}

fn probe(config: &mut FunctionConfig, name: &str, value: &str) {
    config.environment.insert(name.to_owned(), value.to_owned());
}

/// The executable of an example of this package: Cargo puts them beside the
/// directory of the test's own executable, and builds them with `cargo test`.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let path = profile.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo test` of the whole package, or `cargo build --examples`",
        path.display()
    );
    path
}

/// An event of API Gateway, as Netlify sends it.
fn event(path: &str) -> Bytes {
    with_query(path, json!({}))
}

fn with_query(path: &str, query: Value) -> Bytes {
    let event = json!({
        "resource": "",
        "path": path,
        "httpMethod": "GET",
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {},
        "requestContext": {"httpMethod": "GET", "requestTimeEpoch": 0},
        "body": null,
        "isBase64Encoded": false,
    });
    event.to_string().into()
}

async fn answer_json(function: &Function, event: Bytes) -> Value {
    serde_json::from_slice(&function.invoke(event).await.unwrap()).unwrap()
}

/// What the function saw: the body of its answer, if it is one of HTTP.
async fn answer(function: &Function, event: Bytes) -> Value {
    let answer = answer_json(function, event).await;
    match answer["body"].as_str() {
        Some(body) => serde_json::from_str(body).unwrap(),
        None => answer,
    }
}

/// Polls once; nothing if it is not ready.
async fn once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// A socket that a function connects to, so that the test knows where it is.
struct Gate {
    listener: TcpListener,
    address: String,
}

impl Gate {
    async fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { listener, address }
    }

    fn event(&self, path: &str) -> Bytes {
        self.labelled(path, "-")
    }

    fn labelled(&self, path: &str, label: &str) -> Bytes {
        with_query(path, json!({"gate": self.address, "label": label}))
    }

    /// The next function that comes, and the label of its event.
    async fn accept(&self) -> (TcpStream, String) {
        let mut stream = self.hold().await.0;
        let mut label = [0];
        stream.read_exact(&mut label).await.unwrap();
        (stream, String::from_utf8_lossy(&label).into_owned())
    }

    /// The next process that comes and says nothing.
    async fn hold(&self) -> (TcpStream, std::net::SocketAddr) {
        timeout(PATIENCE, self.listener.accept())
            .await
            .unwrap()
            .unwrap()
    }
}

/// Waits until every process that holds the other end is gone.
async fn ended(mut stream: TcpStream) {
    // A process that is killed may reset the connection instead of closing it.
    let read = timeout(PATIENCE, stream.read(&mut [0])).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
}

struct Logs(mpsc::UnboundedReceiver<LogLine>);

impl Logs {
    /// Whether such a line is among those that have come.
    fn has(&mut self, stream: LogStream, text: &str) -> bool {
        std::iter::from_fn(|| self.0.try_recv().ok())
            .any(|line| line.stream == stream && line.line.contains(text))
    }

    /// Waits for a line that holds `text`.
    async fn find(&mut self, stream: LogStream, text: &str) {
        let found = async {
            while let Some(line) = self.0.recv().await {
                if line.stream == stream && line.line.contains(text) {
                    return;
                }
            }
            panic!("the log ended without {text:?}");
        };
        timeout(PATIENCE, found).await.expect(text);
    }
}

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
