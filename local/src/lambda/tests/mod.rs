//! Tests with real function processes, built with `lambda_http` and with a hand-written runtime.

mod failures;
mod instances;
mod runtime_api;
mod shutdown;

use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Function, FunctionConfig, LogLine, LogStream};

/// Creates a function with the example `echo` as its program. Returns it with its log.
fn echo(configure: impl FnOnce(&mut FunctionConfig)) -> (Function, Logs) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut config = FunctionConfig::new("echo", example("echo_function"));
    config.logs = Arc::new(move |line| {
        let _ = sender.send(line);
    });
    configure(&mut config);
    (Function::new(config), Logs(receiver))
}

fn set_variable(config: &mut FunctionConfig, name: &str, value: &str) {
    config.environment.insert(name.to_owned(), value.to_owned());
}

/// Returns the path of an example's executable. `cargo test` builds the examples of this package
/// into the directory next to that of the test executables.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let path = profile.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo test` for the whole package, or `cargo build --examples`",
        path.display()
    );
    path
}

/// Creates an API Gateway event, as Netlify sends it.
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

async fn invoke_json(function: &Function, event: Bytes) -> Value {
    serde_json::from_slice(&function.invoke(event).await.unwrap()).unwrap()
}

/// Invokes the function and returns its response as JSON, or the response's body if it is an HTTP
/// response.
async fn invoke(function: &Function, event: Bytes) -> Value {
    let response = invoke_json(function, event).await;
    match response["body"].as_str() {
        Some(body) => serde_json::from_str(body).unwrap(),
        None => response,
    }
}

/// Polls a future once. Returns `None` if it is not ready.
async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// A socket that a function connects to, so that the test knows how far the function is.
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

    /// Accepts the next function's connection and reads the label of its event.
    async fn accept(&self) -> (TcpStream, String) {
        let mut stream = self.hold().await.0;
        let mut label = [0];
        stream.read_exact(&mut label).await.unwrap();
        (stream, String::from_utf8_lossy(&label).into_owned())
    }

    /// Accepts the next connection of a process that sends nothing.
    async fn hold(&self) -> (TcpStream, std::net::SocketAddr) {
        timeout(TIMEOUT, self.listener.accept())
            .await
            .unwrap()
            .unwrap()
    }
}

/// Waits until every process with the other end of the connection is gone.
async fn wait_for_exit(mut stream: TcpStream) {
    // A killed process may reset the connection instead of closing it.
    let read = timeout(TIMEOUT, stream.read(&mut [0])).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
}

struct Logs(mpsc::UnboundedReceiver<LogLine>);

impl Logs {
    /// Returns whether a received line has this text. Removes the lines up to it.
    fn take_line(&mut self, stream: LogStream, text: &str) -> bool {
        std::iter::from_fn(|| self.0.try_recv().ok())
            .any(|line| line.stream == stream && line.line.contains(text))
    }

    /// Waits for a line with this text, and returns it.
    async fn wait_for_line(&mut self, stream: LogStream, text: &str) -> LogLine {
        let found = async {
            while let Some(line) = self.0.recv().await {
                if line.stream == stream && line.line.contains(text) {
                    return line;
                }
            }
            panic!("the log ended without {text:?}");
        };
        timeout(TIMEOUT, found).await.expect(text)
    }
}

/// Time limit of a wait, far longer than needed on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);
