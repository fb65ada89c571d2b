//! A relay in front of an HTTP API that answers some requests in its place, as a service in trouble
//! does.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The relay's answer to a request that it does not pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayFailure {
    /// A response with this status.
    Status(u16),
    /// No response.
    Hang,
}

/// Relay to an API on this machine, for requests without a body. Dropping it closes the relay.
#[derive(Debug)]
pub struct FailingRelay {
    url: String,
    _relay: JoinSet<()>,
}

impl FailingRelay {
    /// Starts a relay to the API at this URL. The requests whose head `is_failing` accepts fail.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn to(
        url: &str,
        failure: RelayFailure,
        is_failing: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let is_failing = Arc::new(is_failing);
        let mut relay = JoinSet::new();
        relay.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (address, is_failing) = (address.clone(), Arc::clone(&is_failing));
                connections.spawn(async move {
                    // The client sees any error itself.
                    let _ = answer(client, &address, failure, &*is_failing).await;
                });
            }
        });
        Self { url, _relay: relay }
    }

    /// Returns the URL that clients connect to.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Answers the one request of a connection.
async fn answer(
    mut client: TcpStream,
    address: &str,
    failure: RelayFailure,
    is_failing: &(impl Fn(&str) -> bool + Send + Sync),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    match failure {
        RelayFailure::Hang if is_failing(&head) => std::future::pending().await,
        RelayFailure::Status(status) if is_failing(&head) => {
            let body = r#"{"id":"odd","message":"The request failed."}"#;
            let response = format!(
                "HTTP/1.1 {status} Odd\r\nContent-Type: application/json\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            client.write_all(response.as_bytes()).await?;
        }
        _ => {
            let mut server = TcpStream::connect(address).await?;
            let end = head.len() - 2;
            let closing = format!("{}Connection: close\r\n\r\n", &head[..end]);
            server.write_all(closing.as_bytes()).await?;
            copy(&mut server, &mut client).await?;
        }
    }
    client.shutdown().await
}
