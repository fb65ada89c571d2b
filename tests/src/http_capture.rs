//! A wire before an HTTP API that remembers all that clients send, secrets and all.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A relay to an API on this machine. It ends when it is dropped.
#[derive(Debug)]
pub struct HttpCapture {
    url: String,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
    _relay: JoinSet<()>,
}

/// A request that passed.
#[derive(Clone, Debug)]
pub struct CapturedRequest {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The body; null where there was none.
    pub body: Value,
}

impl HttpCapture {
    /// Begins to relay to the API at this URL, such as `http://127.0.0.1:5001`.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn to(url: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let said = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let all = Arc::clone(&said);
        let mut relay = JoinSet::new();
        relay.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, address.clone(), Arc::clone(&all)));
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            said,
            _relay: relay,
        }
    }

    /// Where clients connect to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All requests so far, connection by connection.
    ///
    /// # Panics
    ///
    /// When something passed that is no request.
    pub fn passed(&self) -> Vec<CapturedRequest> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().flat_map(|said| requests(said)).collect()
    }
}

/// Relays one connection and keeps what the client says.
async fn pass(client: TcpStream, address: String, all: Arc<Mutex<Vec<Vec<u8>>>>) {
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
            // Before it is passed on: an answer comes after what is remembered.
            all.lock().unwrap_or_else(PoisonError::into_inner)[number]
                .extend_from_slice(&buffer[..read]);
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        // What goes wrong here is the client's to see.
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

/// The requests of one connection: none of them has a body without a length.
fn requests(mut said: &[u8]) -> Vec<CapturedRequest> {
    let mut requests = Vec::new();
    while !said.is_empty() {
        let end = said
            .windows(4)
            .position(|part| part == b"\r\n\r\n")
            .expect("the end of a head");
        let head = String::from_utf8_lossy(&said[..end]).into_owned();
        let mut first = head.lines().next().expect("a line").split(' ');
        let (method, path) = (first.next().expect("one"), first.next().expect("one"));
        let length: usize = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, length)| length.trim().parse().expect("a length"));
        let body = &said[end + 4..end + 4 + length];
        requests.push(CapturedRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            body: match length {
                0 => Value::Null,
                _ => serde_json::from_slice(body).expect("JSON"),
            },
        });
        said = &said[end + 4 + length..];
    }
    requests
}
