//! A TCP proxy in front of a server, whose faults can be set while it runs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::conditions::{Conditions, Direction};
use super::relay::Relay;
use crate::port;
use crate::{Error, ErrorKind};

/// A TCP proxy in front of a server, on a free port of 127.0.0.1.
///
/// It counts round trips: one for each time that the client sends after the server. Unlike a
/// duration, that count does not depend on the machine.
///
/// Its faults are those of real networks. They can be set at any time and apply until they are
/// removed, to all bytes that are sent after the method has returned. A connection that breaks at
/// one end is reset at the other.
///
/// Dropping it closes the port and resets all connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    /// Reserves the port for the proxy's lifetime, even while it does not listen.
    _reserved: TcpSocket,
    network: watch::Sender<Conditions>,
    traffic: Traffic,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone, Debug, Default)]
struct Traffic {
    connections: Arc<AtomicUsize>,
    round_trips: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts a proxy in front of the server at `upstream`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if no port is free.
    pub async fn start(upstream: SocketAddr) -> Result<Self, Error> {
        Self::start_with(Conditions::new(upstream)).await
    }

    /// Starts a proxy on another port, with the same server and the same faults of the whole network.
    pub(crate) async fn start_successor(&self) -> Result<Self, Error> {
        let conditions = self.network.borrow().for_new_connections();
        Self::start_with(conditions).await
    }

    async fn start_with(conditions: Conditions) -> Result<Self, Error> {
        let bind_error = |error| {
            Error::new(ErrorKind::System, "could not open a port for the proxy").with_source(error)
        };
        let reserved = bind(0).map_err(bind_error)?;
        let proxy = Self {
            port: reserved.local_addr().map_err(bind_error)?.port(),
            _reserved: reserved,
            network: watch::Sender::new(conditions),
            traffic: Traffic::default(),
            accepting: Mutex::default(),
        };
        proxy.accept()?;
        Ok(proxy)
    }

    /// Port of the proxy on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.traffic.connections.load(Ordering::SeqCst)
    }

    /// Number of round trips on all connections so far, without the one that opens each TCP
    /// connection.
    ///
    /// Without a [`delay`](Self::delay) it depends on the machine where the server sends something
    /// unasked, such as the tickets of TLS: that may arrive in the middle of what the client sends.
    pub fn round_trips(&self) -> usize {
        self.traffic.round_trips.load(Ordering::SeqCst)
    }

    /// Directs new connections to another server, as after a failover behind the same address. Open
    /// connections stay with their server.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.network.send_modify(|now| now.upstream = upstream);
    }

    /// Sets the delay of each direction for bytes that are sent from now on; a shorter one also applies
    /// to bytes under way. It does not apply to opening a TCP connection. Default: zero.
    pub fn delay(&self, delay: Duration) {
        self.network.send_modify(|now| now.delay = delay);
    }

    /// Delays the bytes to the client that are sent from now on, each time by another duration
    /// between `latency - jitter` and `latency + jitter`. A shorter delay also applies to bytes under
    /// way, so zero ends it for them. Default: zero.
    pub fn set_latency(&self, latency: Duration, jitter: Duration) {
        self.network
            .send_modify(|now| now.latency = (latency, jitter));
    }

    /// Limits the bytes per second that each connection carries to the client. Default: no limit.
    pub fn set_rate(&self, bytes_per_second: Option<NonZeroU64>) {
        self.network.send_modify(|now| now.rate = bytes_per_second);
    }

    /// With `true`, resets all connections, and each new one until it is called with `false`.
    pub fn reset_all(&self, resets: bool) {
        if resets {
            self.cut();
        }
        self.network.send_modify(|now| now.resets_all = resets);
    }

    /// Holds back all bytes, on open and new connections. The connections stay open.
    pub fn stall(&self) {
        self.network.send_modify(|now| now.is_stalled = true);
    }

    /// Ends a [`stall`](Self::stall). The bytes that were held back are sent first.
    pub fn resume(&self) {
        self.network.send_modify(|now| now.is_stalled = false);
    }

    /// Resets all connections accepted so far, at both ends. Bytes in flight are lost. New
    /// connections are served.
    pub fn cut(&self) {
        let below = self.connections();
        self.network.send_modify(|now| now.cut(below));
    }

    /// Drops all bytes on the connections accepted so far, as a gateway does that forgets idle
    /// connections. Neither end gets a reset. New connections are served.
    pub fn lose(&self) {
        let below = self.connections();
        self.network.send_modify(|now| now.lose(below));
    }

    /// Closes one direction of all connections accepted so far. The receiver sees the end of the
    /// stream, and further bytes of the sender are dropped. The other direction stays open.
    pub fn half_close(&self, direction: Direction) {
        let below = self.connections();
        self.network.send_modify(|now| now.end(direction, below));
    }

    /// Refuses new connections, as a machine without a listener does. When it returns, the port is
    /// closed. Open connections stay open.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the port is closed in the background.
    pub async fn refuse(&self) {
        let accepting = self.accepting().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // The aborted task drops the listener.
            let _ = accepting.await;
        }
    }

    /// Accepts new connections and drops all their bytes, as a network that loses all packets. They
    /// stay open until [`cut`](Self::cut).
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn black_hole(&self) -> Result<(), Error> {
        self.listen(true)
    }

    /// Serves new connections, after [`refuse`](Self::refuse) or
    /// [`black_hole`](Self::black_hole), on the same port.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if the proxy cannot listen on the port again.
    pub fn accept(&self) -> Result<(), Error> {
        self.listen(false)
    }

    fn listen(&self, is_black_hole: bool) -> Result<(), Error> {
        self.network
            .send_modify(|now| now.is_black_hole = is_black_hole);
        let mut accepting = self.accepting();
        if accepting.is_none() {
            let listener = bind(self.port)
                .and_then(|socket| socket.listen(BACKLOG))
                .map_err(|error| port::listen_error("127.0.0.1", self.port, error))?;
            let (network, traffic) = (self.network.subscribe(), self.traffic.clone());
            *accepting = Some(tokio::spawn(serve(listener, network, traffic)));
        }
        Ok(())
    }

    fn accepting(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        // No code panics while it holds this lock.
        self.accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting().take() {
            accepting.abort();
        }
    }
}

async fn serve(listener: TcpListener, network: watch::Receiver<Conditions>, traffic: Traffic) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Most likely there are no file descriptors left, and some will be again.
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let relay = Relay {
            number: traffic.connections.fetch_add(1, Ordering::SeqCst),
            network: network.clone(),
            round_trips: traffic.round_trips.clone(),
        };
        tokio::spawn(relay.run(client));
    }
}

/// Creates a socket that is bound to a port of 127.0.0.1 and does not listen. Several of these
/// sockets can have the same port.
fn bind(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Maximum number of connections that wait to be accepted, as in the standard library.
const BACKLOG: u32 = 128;
