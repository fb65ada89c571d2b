//! The site's sockets: listens, hands each request to its deploy, and stops.

use super::deploy::{Deploy, Origin};
use super::files::ResponseBody;
use super::hosts::{self, Hosts};
use crate::port::refused;
use crate::{Error, ErrorKind};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// A running site: all its deploys on one port of this machine.
///
/// Only loopback addresses are listened on. Dropping it closes every connection at once.
#[derive(Debug)]
pub struct Site {
    port: u16,
    stopping: watch::Sender<()>,
    listening: JoinSet<()>,
}

/// How long the site waits for a client, and for its requests when it stops.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a request's head, and so also for the next request of a kept connection. Half a
    /// minute is more than any client on this machine needs.
    pub(super) head: Duration,
    /// For a request's whole body.
    pub(super) body: Duration,
    /// For requests under way when the site stops.
    pub(super) stop: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            stop: Duration::from_secs(5),
        }
    }
}

/// What every connection shares.
#[derive(Debug)]
struct Shared {
    hosts: Hosts,
    port: u16,
    patience: Patience,
}

impl Site {
    /// Serves deploys on 127.0.0.1 and, where the machine has it, `[::1]`, on `port`; 0 takes
    /// a free one. When this returns, the site answers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`] if another program has the port on either address (with only
    /// one of the two, `localhost` would lead some clients to the other program);
    /// [`ErrorKind::Input`] for a host name that is not one or stands twice, and for a
    /// publish directory that is not there; [`ErrorKind::System`] for what the operating
    /// system refuses.
    pub async fn start(port: u16, deploys: Vec<Deploy>) -> Result<Self, Error> {
        Self::start_with(port, deploys, Patience::default()).await
    }

    pub(super) async fn start_with(
        port: u16,
        deploys: Vec<Deploy>,
        patience: Patience,
    ) -> Result<Self, Error> {
        let hosts = Hosts::open(deploys).await?;
        let (port, listeners) = listen(port).await?;
        let shared = Arc::new(Shared {
            hosts,
            port,
            patience,
        });
        let (stopping, stopped) = watch::channel(());
        let mut listening = JoinSet::new();
        for listener in listeners {
            listening.spawn(serve(listener, Arc::clone(&shared), stopped.clone()));
        }
        Ok(Self {
            port,
            stopping,
            listening,
        })
    }

    /// The port that the site has.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a deploy, without a last slash: `http://staging.localhost:8888`.
    pub fn url(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port)
    }

    /// Takes no more requests, gives those under way five seconds to end, and closes.
    pub async fn stop(mut self) {
        self.stopping.send_replace(());
        while self.listening.join_next().await.is_some() {}
    }
}

async fn listen(port: u16) -> Result<(u16, Vec<TcpListener>), Error> {
    for _ in 0..FREE_PORT_TRIES {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|cause| refused("127.0.0.1", port, cause))?;
        let bound = v4
            .local_addr()
            .map_err(|cause| refused("127.0.0.1", port, cause))?
            .port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, bound)).await {
            Ok(v6) => return Ok((bound, vec![v4, v6])),
            Err(cause) if cause.kind() != io::ErrorKind::AddrInUse => {
                tracing::debug!(%cause, "listening on 127.0.0.1 alone");
                return Ok((bound, vec![v4]));
            }
            Err(cause) if port != 0 => return Err(refused("[::1]", port, cause)),
            // This free port is free on one address only: another one, then.
            Err(_) => {}
        }
    }
    Err(Error::new(
        ErrorKind::System,
        "could not find a port that is free on 127.0.0.1 and on [::1]: name one",
    ))
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let shared = Arc::clone(&shared);
                    let connection = graceful.watch(connection(stream, address.ip(), shared));
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection ended early");
                        }
                    });
                }
                Err(error) => {
                    // Most likely too many open files, which only time mends.
                    tracing::warn!(%error, "could not accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    if timeout(shared.patience.stop, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("stopped with requests under way");
    }
}

/// The protocol on one connection; the future is one that can be told to end gracefully.
fn connection(
    stream: TcpStream,
    client: IpAddr,
    shared: Arc<Shared>,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    // Small answers should not wait for more; without it they only come later.
    let _ = stream.set_nodelay(true);
    let patience = shared.patience.head;
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request, client).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(stream), service)
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>, client: IpAddr) -> Response<ResponseBody> {
        let request_id = request_id();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let asked = hosts::asked(request.uri(), request.headers());
        let (host, authority) = asked.unwrap_or_default();

        let mut response = match self.hosts.find(&host) {
            Some(published) => {
                let origin = Origin {
                    authority: &authority,
                    client,
                    request_id: &request_id,
                    body_patience: self.patience.body,
                };
                published.answer(request, origin).await
            }
            None => self.hosts.unknown(&host, self.port),
        };
        let status = response.status().as_u16();
        // The path alone: a query may hold what a log should not.
        tracing::debug!(%request_id, host, %method, path, status, "answered");
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("x-nf-request-id", id);
        }
        response
    }
}

/// A ULID, as Netlify's ids are: a UUID of version 7 is the same time and chance in other
/// letters.
fn request_id() -> String {
    let id = Uuid::now_v7().as_u128();
    (0..26)
        .rev()
        .map(|digit| char::from(CROCKFORD[(id >> (5 * digit)) as usize & 31]))
        .collect()
}

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const FREE_PORT_TRIES: usize = 16;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
