//! The HTTP server of a stand-in. Its connections end with it.

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
use hyper_util::rt::TokioIo;
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
pub(crate) struct Server {
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
    pub(crate) async fn start(port: u16, router: Router) -> Result<Self, Error> {
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
            task: tokio::spawn(serve(listener, router, stopped)),
        })
    }

    /// Base URL of the server, such as `http://127.0.0.1:5001`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Closes the port and every connection, even in the middle of a response: a client that hangs
    /// must not block its server.
    pub(crate) async fn stop(self) {
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
async fn serve(listener: TcpListener, router: Router, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, router.clone()));
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

async fn serve_connection(stream: TcpStream, router: Router) {
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
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to a local api failed");
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
