//! An HTTP server on this machine's own address. Its connections end with it.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;
use std::{fmt, io};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::Error;
use crate::port::listen_error;

/// Response extension that has the server close the connection instead of sending the response.
#[derive(Clone, Copy, Debug)]
pub(super) struct CloseConnection;

/// A running server on 127.0.0.1. Dropping it stops it in the background; [`Server::stop`] waits
/// for the end.
pub struct Server {
    url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts the server on this port; 0 selects a free port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`](crate::ErrorKind::PortInUse) if the port is taken,
    /// [`ErrorKind::System`](crate::ErrorKind::System) if it cannot be opened for another reason.
    pub async fn start(port: u16, router: Router) -> Result<Self, Error> {
        Self::start_with(port, router, HEAD_TIMEOUT).await
    }

    /// Starts the server with this limit for the time that a request's head may take.
    async fn start_with(port: u16, router: Router, head_timeout: Duration) -> Result<Self, Error> {
        let (listener, address) = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let address = listener.local_addr()?;
            io::Result::Ok((listener, address))
        }
        .await
        .map_err(|error| listen_error("127.0.0.1", port, error))?;
        let (stop, stopped) = oneshot::channel();
        Ok(Self {
            url: format!("http://{address}"),
            stop,
            task: tokio::spawn(serve(listener, router, head_timeout, stopped)),
        })
    }

    /// Base URL of the server, such as `http://127.0.0.1:5001`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Closes the port and every connection, even in the middle of a response: a client that hangs
    /// must not block its server.
    pub async fn stop(self) {
        // Both fail only if the server has already ended.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Accepts connections until the sender of `stopped` sends or is dropped.
async fn serve(
    listener: TcpListener,
    router: Router,
    head_timeout: Duration,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, router.clone(), head_timeout));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    // Most likely there are no file descriptors left. Without a pause this loop
                    // would use a whole core until there are some again.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve_connection(stream: TcpStream, router: Router, head_timeout: Duration) {
    // A failure only costs speed.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = router.call(request.map(Body::new));
        async move {
            let response = response
                .await
                .unwrap_or_else(|never: Infallible| match never {});
            if response.extensions().get::<CloseConnection>().is_some() {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            Ok(response)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to a local api failed");
    }
}

/// Limit for a request's head, and so for the next request on a kept connection, as the local site
/// has it: a client that sends half a head must not hold a connection for ever.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn half_a_head_and_an_idle_connection_are_closed_when_the_time_is_up() {
        let limit = Duration::from_millis(100);
        let server = Server::start_with(0, Router::new(), limit).await.unwrap();
        let address = server.url().strip_prefix("http://").unwrap().to_owned();
        for sent in [
            "",
            "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ",
            "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            let mut received = Vec::new();
            let closed = timeout(Duration::from_secs(20), stream.read_to_end(&mut received));
            closed.await.expect("it closes the connection").unwrap();
            let is_answered = received.starts_with(b"HTTP/1.1 404");
            assert_eq!(is_answered, sent.ends_with("\r\n\r\n"), "{sent:?}");
        }
        server.stop().await;
    }
}
