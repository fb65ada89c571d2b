//! A relay in front of an HTTP API that captures the requests of its clients, secrets included.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Relay to an API on this machine. Dropping it closes the relay.
#[derive(Debug)]
pub struct HttpCapture {
    url: String,
    captured: Arc<Mutex<Vec<Vec<u8>>>>,
    _relay: JoinSet<()>,
}

/// Request that a client sent.
#[derive(Clone, Debug)]
pub struct CapturedRequest {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The body; null if there was none.
    pub body: Value,
}

impl HttpCapture {
    /// Starts a relay to the API at this URL, such as `http://127.0.0.1:5001`.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn to(url: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let captured = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let all = Arc::clone(&captured);
        let mut relay = JoinSet::new();
        relay.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(relay_connection(client, address.clone(), Arc::clone(&all)));
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            captured,
            _relay: relay,
        }
    }

    /// Returns the URL that clients connect to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns all requests so far, connection by connection.
    ///
    /// # Panics
    ///
    /// When a client sent something other than HTTP requests.
    pub fn requests(&self) -> Vec<CapturedRequest> {
        let captured = self.captured.lock().unwrap_or_else(PoisonError::into_inner);
        captured
            .iter()
            .flat_map(|captured| requests(captured))
            .collect()
    }
}

/// Relays one connection and captures the client's bytes.
async fn relay_connection(client: TcpStream, address: String, all: Arc<Mutex<Vec<Vec<u8>>>>) {
    let Ok(server) = TcpStream::connect(address).await else {
        return;
    };
    let number = {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Vec::new());
        all.len() - 1
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            // Captured before they are relayed, so a response implies that its request is captured.
            all.lock().unwrap_or_else(PoisonError::into_inner)[number]
                .extend_from_slice(&buffer[..read]);
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        // The client sees any error itself.
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

/// Parses the requests of one connection. Each body has a `Content-Length`.
fn requests(mut captured: &[u8]) -> Vec<CapturedRequest> {
    let mut requests = Vec::new();
    while !captured.is_empty() {
        let end = captured
            .windows(4)
            .position(|part| part == b"\r\n\r\n")
            .expect("the end of a head");
        let head = String::from_utf8_lossy(&captured[..end]).into_owned();
        let mut first = head.lines().next().expect("a line").split(' ');
        let (method, path) = (first.next().expect("one"), first.next().expect("one"));
        let length: usize = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, length)| length.trim().parse().expect("a length"));
        let body = &captured[end + 4..end + 4 + length];
        requests.push(CapturedRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            body: match length {
                0 => Value::Null,
                _ => serde_json::from_slice(body).unwrap_or_else(|_| {
                    // An upload.
                    Value::String(String::from_utf8_lossy(body).into_owned())
                }),
            },
        });
        captured = &captured[end + 4 + length..];
    }
    requests
}
