//! The site's server: listens, passes each request to its deploy, and stops.

use super::deploy::{Deploy, RequestInfo};
use super::files::ResponseBody;
use super::hosts::{self, FindDeploy, Hosts};
use crate::port::listen_error;
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
/// It listens on loopback addresses only. Dropping it closes every connection at once.
#[derive(Debug)]
pub struct Site {
    port: u16,
    stopping: watch::Sender<()>,
    listening: JoinSet<()>,
}

/// Time limits for clients, and for running requests when the site stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Limit for a request's head, and so for the next request on a kept connection. The default of
    /// 30 s is more than a client on this machine needs.
    pub(super) head: Duration,
    /// Limit for a request's whole body.
    pub(super) body: Duration,
    /// Limit for running requests when the site stops.
    pub(super) stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            stop: Duration::from_secs(5),
        }
    }
}

/// A site that listens and accepts no connection yet: a client that connects waits for
/// [`serve`](BoundSite::serve).
#[derive(Debug)]
pub(crate) struct BoundSite {
    hosts: Arc<dyn FindDeploy>,
    port: u16,
    listeners: Vec<TcpListener>,
}

impl BoundSite {
    /// Listens as [`Site::start`] does, with the same errors.
    pub(crate) async fn bind(port: u16, deploys: Vec<Deploy>) -> Result<Self, Error> {
        Self::bind_finder(port, Arc::new(Hosts::open(deploys).await?)).await
    }

    /// Listens for requests whose deploys `hosts` finds.
    pub(crate) async fn bind_finder(port: u16, hosts: Arc<dyn FindDeploy>) -> Result<Self, Error> {
        let (port, listeners) = listen(port).await?;
        Ok(Self {
            hosts,
            port,
            listeners,
        })
    }

    /// URL of a deploy, without a trailing slash.
    pub(crate) fn url(&self, host: &str) -> String {
        url(host, self.port)
    }

    /// Serves the clients that wait, and all later ones.
    pub(crate) fn serve(self, timeouts: Timeouts) -> Site {
        let Self {
            hosts,
            port,
            listeners,
        } = self;
        let state = Arc::new(SiteState {
            hosts,
            port,
            timeouts,
        });
        let (stopping, stopped) = watch::channel(());
        let mut listening = JoinSet::new();
        for listener in listeners {
            listening.spawn(serve(listener, Arc::clone(&state), stopped.clone()));
        }
        Site {
            port,
            stopping,
            listening,
        }
    }
}

/// State that all connections share.
#[derive(Debug)]
struct SiteState {
    hosts: Arc<dyn FindDeploy>,
    port: u16,
    timeouts: Timeouts,
}

impl Site {
    /// Serves deploys on a port of 127.0.0.1 and, if the machine has it, of `[::1]`; 0 selects a
    /// free port. When it returns, the site is ready.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`] if another program has the port on either address (with only one of
    /// the two, `localhost` would lead some clients to the other program); [`ErrorKind::Input`] for
    /// an invalid or repeated host name, and for a publish directory that does not exist;
    /// [`ErrorKind::System`] for another error of the operating system.
    pub async fn start(port: u16, deploys: Vec<Deploy>) -> Result<Self, Error> {
        Self::start_with(port, deploys, Timeouts::default()).await
    }

    pub(super) async fn start_with(
        port: u16,
        deploys: Vec<Deploy>,
        timeouts: Timeouts,
    ) -> Result<Self, Error> {
        Ok(BoundSite::bind(port, deploys).await?.serve(timeouts))
    }

    /// Port of the site.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of a deploy, without a trailing slash: `http://staging.localhost:8888`.
    pub fn url(&self, host: &str) -> String {
        url(host, self.port)
    }

    /// Stops accepting requests, waits five seconds at most for running ones, and closes.
    pub async fn stop(mut self) {
        self.stopping.send_replace(());
        while self.listening.join_next().await.is_some() {}
    }
}

fn url(host: &str, port: u16) -> String {
    format!("http://{host}:{port}")
}

async fn listen(port: u16) -> Result<(u16, Vec<TcpListener>), Error> {
    for _ in 0..FREE_PORT_TRIES {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|cause| listen_error("127.0.0.1", port, cause))?;
        let bound = v4
            .local_addr()
            .map_err(|cause| listen_error("127.0.0.1", port, cause))?
            .port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, bound)).await {
            Ok(v6) => return Ok((bound, vec![v4, v6])),
            Err(cause) if cause.kind() != io::ErrorKind::AddrInUse => {
                tracing::debug!(%cause, "listening on 127.0.0.1 only");
                return Ok((bound, vec![v4]));
            }
            Err(cause) if port != 0 => return Err(listen_error("[::1]", port, cause)),
            // This port is free on one address only, so the next is tried.
            Err(_) => {}
        }
    }
    Err(Error::new(
        ErrorKind::System,
        "could not find a port that is free on 127.0.0.1 and on [::1]: choose one",
    ))
}

async fn serve(listener: TcpListener, state: Arc<SiteState>, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let state = Arc::clone(&state);
                    let connection = graceful.watch(serve_connection(stream, address.ip(), state));
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection ended early");
                        }
                    });
                }
                Err(error) => {
                    // Most likely there are too many open files, which may pass.
                    tracing::warn!(%error, "could not accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    if timeout(state.timeouts.stop, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("stopped with running requests");
    }
}

/// Returns the future that serves a connection and can be shut down gracefully.
fn serve_connection(
    stream: TcpStream,
    client: IpAddr,
    state: Arc<SiteState>,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    // A small response should not wait for more data. A failure only makes it later.
    let _ = stream.set_nodelay(true);
    let head_timeout = state.timeouts.head;
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(state.respond(request, client).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), service)
}

impl SiteState {
    async fn respond(&self, request: Request<Incoming>, client: IpAddr) -> Response<ResponseBody> {
        let request_id = new_request_id();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let host = hosts::request_host(request.uri(), request.headers());
        let (host, authority) = host.unwrap_or_default();

        let found = self.hosts.find(hosts::canonical_host(&host)).await;
        let mut response = match found {
            Ok(Some(deploy)) => {
                let active = deploy.begin_record(&request_id, &request);
                let info = RequestInfo {
                    authority: &authority,
                    client,
                    request_id: &request_id,
                    body_timeout: self.timeouts.body,
                    active: active.clone(),
                };
                let response = deploy.respond(request, info).await;
                if let Some(active) = active {
                    active.responded(response.status());
                }
                response
            }
            Ok(None) => hosts::unknown_host_page(&host, &self.hosts.hosts(), self.port),
            Err(response) => *response,
        };
        let status = response.status().as_u16();
        // The query is omitted: it may hold a secret.
        tracing::debug!(%request_id, host, %method, path, status, "request to the local site");
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("x-nf-request-id", id);
        }
        response
    }
}

/// Creates a ULID, the format of Netlify's ids. A UUID of version 7 has the same time and
/// randomness in another encoding.
pub(crate) fn new_request_id() -> String {
    let id = Uuid::now_v7().as_u128();
    (0..26)
        .rev()
        .map(|digit| char::from(CROCKFORD[(id >> (5 * digit)) as usize & 31]))
        .collect()
}

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const FREE_PORT_TRIES: usize = 16;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
