//! The listener and its connections, all of which end with the server.

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
use crate::port::refused;

/// Marks a response that is not to be sent: its connection is closed instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disconnected;

/// A server that runs on 127.0.0.1. Dropping it ends it at some later moment; [`Server::stop`] waits
/// for the end.
pub(crate) struct Server {
    url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens at this port or, for 0, at a free one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`](crate::ErrorKind::PortInUse) when the port is taken,
    /// [`ErrorKind::System`](crate::ErrorKind::System) when it cannot be opened for
    /// another reason.
    pub(crate) async fn start(port: u16, router: Router) -> Result<Self, Error> {
        let (listener, address) = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let address = listener.local_addr()?;
            io::Result::Ok((listener, address))
        }
        .await
        .map_err(|error| refused("127.0.0.1", port, error))?;
        let (stop, stopped) = oneshot::channel();
        Ok(Self {
            url: format!("http://{address}"),
            stop,
            task: tokio::spawn(serve(listener, router, stopped)),
        })
    }

    /// Where it listens, such as `http://127.0.0.1:5001`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Closes the port and every connection, in the middle of an answer too: a client
    /// that hangs must not keep its server.
    pub(crate) async fn stop(self) {
        // Both fail only when the server has ended already.
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

/// Accepts until the sender of `stopped` sends or is gone.
async fn serve(listener: TcpListener, router: Router, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    // Out of file descriptors, most likely: without a pause this loop
                    // would take a whole core until there are some again.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, router: Router) {
    // Only costs speed where it fails.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = router.call(request.map(Body::new));
        async move {
            let response = answer
                .await
                .unwrap_or_else(|never: Infallible| match never {});
            if response.extensions().get::<Disconnected>().is_some() {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            Ok(response)
        }
    });
    let served = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to a local api broke");
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
