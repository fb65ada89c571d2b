//! A TCP proxy before one server, whose faults are set while it runs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::conditions::{Conditions, Direction};
use super::relay::Relay;
use crate::port;
use crate::{Error, ErrorKind};

/// A TCP proxy before one server, on a free port of 127.0.0.1.
///
/// It counts round trips: each time that the client sends and the server had
/// the last word is one. Unlike a time, that count does not depend on the machine.
///
/// Its faults are those of real networks. They can be set at any time and hold
/// until they are taken back; what is sent after a method has returned meets the
/// network as it is then. A connection that breaks at one end breaks at the other.
///
/// Dropping it closes the port and cuts all connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    /// Has the port for as long as the proxy lives, also while nobody listens there.
    _held: TcpSocket,
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
    /// Starts a proxy before the server at `upstream`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] when no port can be had.
    pub async fn start(upstream: SocketAddr) -> Result<Self, Error> {
        let refused = |error| {
            Error::new(ErrorKind::System, "could not open a port for the proxy").because(error)
        };
        let held = bound(0).map_err(refused)?;
        let proxy = Self {
            port: held.local_addr().map_err(refused)?.port(),
            _held: held,
            network: watch::Sender::new(Conditions::new(upstream)),
            traffic: Traffic::default(),
            accepting: Mutex::default(),
        };
        proxy.accept()?;
        Ok(proxy)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections that it has accepted so far.
    pub fn connections(&self) -> usize {
        self.traffic.connections.load(Ordering::SeqCst)
    }

    /// Round trips on all its connections so far. Opening a TCP connection is
    /// one more each, which the proxy cannot see.
    pub fn round_trips(&self) -> usize {
        self.traffic.round_trips.load(Ordering::SeqCst)
    }

    /// Leads new connections to another server, as after a failover behind the
    /// same address. Those that are open stay where they are.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.network.send_modify(|now| now.upstream = upstream);
    }

    /// Makes each direction take this much longer, for what is sent from now on. To
    /// open a TCP connection takes no longer. At first it is zero.
    pub fn delay(&self, delay: Duration) {
        self.network.send_modify(|now| now.delay = delay);
    }

    /// Lets no byte through, on open connections and on new ones, which stay open.
    pub fn stall(&self) {
        self.network.send_modify(|now| now.is_stalled = true);
    }

    /// Lets bytes through again after [`stall`](Self::stall). Those that were held
    /// back come first.
    pub fn resume(&self) {
        self.network.send_modify(|now| now.is_stalled = false);
    }

    /// Cuts all connections that it has accepted so far: both ends find theirs
    /// reset, and what was on the way is lost. New ones are served.
    pub fn cut(&self) {
        let below = self.connections();
        self.network.send_modify(|now| now.cut(below));
    }

    /// Loses all connections that it has accepted so far, as a gateway does that forgets
    /// those on which nothing was sent for long: nothing passes there any more, and neither
    /// end is told. New ones are served.
    pub fn lose(&self) {
        let below = self.connections();
        self.network.send_modify(|now| now.lose(below));
    }

    /// Ends one direction of all connections that it has accepted so far. Who
    /// receives there sees the end of the stream; what is sent there is taken and
    /// lost. The other direction goes on.
    pub fn half_close(&self, direction: Direction) {
        let below = self.connections();
        self.network.send_modify(|now| now.end(direction, below));
    }

    /// Refuses new connections, as a machine does on which nobody listens: the port
    /// is closed when this returns. Open connections go on.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the port is closed a moment later.
    pub async fn refuse(&self) {
        let accepting = self.accepting().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // It ends by being aborted, and with it the listener.
            let _ = accepting.await;
        }
    }

    /// Accepts new connections and never answers them, as a network does that
    /// loses all packets. Such a connection stays silent until it is cut.
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
    /// [`ErrorKind::System`] when the port cannot be listened on again.
    pub fn accept(&self) -> Result<(), Error> {
        self.listen(false)
    }

    fn listen(&self, is_black_hole: bool) -> Result<(), Error> {
        self.network
            .send_modify(|now| now.is_black_hole = is_black_hole);
        let mut accepting = self.accepting();
        if accepting.is_none() {
            let listener = bound(self.port)
                .and_then(|socket| socket.listen(BACKLOG))
                .map_err(|error| port::refused("127.0.0.1", self.port, error))?;
            let (network, traffic) = (self.network.subscribe(), self.traffic.clone());
            *accepting = Some(tokio::spawn(serve(listener, network, traffic)));
        }
        Ok(())
    }

    fn accepting(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        // Nothing panics while it holds this lock, and what it guards is set in one step.
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
    while let Ok((client, _)) = listener.accept().await {
        let relay = Relay {
            number: traffic.connections.fetch_add(1, Ordering::SeqCst),
            network: network.clone(),
            round_trips: traffic.round_trips.clone(),
        };
        tokio::spawn(relay.run(client));
    }
}

/// A socket that has a port of 127.0.0.1 and does not listen there. Sockets made
/// here can have the same port.
fn bound(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

/// Connections that may wait to be accepted, as many as the standard library lets.
const BACKLOG: u32 = 128;
