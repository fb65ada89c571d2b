//! Real functions, built with `lambda_http` and by hand, as real processes.

mod ending;
mod failing;
mod instances;
mod runtime_api;

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
