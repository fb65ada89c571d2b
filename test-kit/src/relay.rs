//! The network between a test's function and its database, which a test can cut.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// A port of this machine that leads to a server. It closes when the value is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    port: u16,
    network: Arc<Network>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Network {
    /// Counts the cuts.
    cuts: watch::Sender<u64>,
    /// One of [`PASS`], [`ARMED`] and [`ASKED`].
    response: AtomicU8,
    opened: AtomicUsize,
}

/// Responses pass.
const PASS: u8 = 0;
/// The response to the next message from the client is lost.
const ARMED: u8 = 1;
/// The client has sent that message.
const ASKED: u8 = 2;

impl Relay {
    /// Opens a port. Its tasks run on the current runtime.
    pub(crate) async fn open(host: &str, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let network = Arc::new(Network {
            cuts: watch::Sender::new(0),
            response: AtomicU8::new(PASS),
            opened: AtomicUsize::new(0),
        });
        let local = listener.local_addr()?.port();
        let serving = serve(listener, (host.to_owned(), port), Arc::clone(&network));
        Ok(Self {
            port: local,
            network,
            task: tokio::spawn(serving).abort_handle(),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of connections that were opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.network.opened.load(Ordering::Relaxed)
    }

    /// Resets all connections.
    pub(crate) fn cut(&self) {
        self.network.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Loses the response to the next message, and resets its connection.
    pub(crate) fn cut_before_next_response(&self) {
        self.network.response.store(ARMED, Ordering::Release);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn serve(listener: TcpListener, server: (String, u16), network: Arc<Network>) {
    while let Ok((client, _)) = listener.accept().await {
        network.opened.fetch_add(1, Ordering::Relaxed);
        let (server, network) = (server.clone(), Arc::clone(&network));
        let cuts = network.cuts.subscribe();
        tokio::spawn(async move {
            if let Ok(server) = TcpStream::connect(server).await {
                pass(client, server, &network, cuts).await;
            }
        });
    }
}

/// Passes what both sides send, until one of them closes or the connection is cut.
async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    network: &Network,
    mut cuts: watch::Receiver<u64>,
) {
    // Without this, small messages would wait for the acknowledgement of the one before.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let requests = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            advance(network, ARMED, ASKED);
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        false
    };
    let responses = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            if advance(network, ASKED, PASS) {
                return true;
            }
            if to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        false
    };
    let is_cut = tokio::select! {
        is_cut = requests => is_cut,
        is_cut = responses => is_cut,
        // An error is the end of the relay.
        _ = cuts.changed() => true,
    };
    if is_cut {
        // The client gets a reset and no orderly end.
        let _ = client.set_zero_linger();
    }
}

const BUFFER_BYTES: usize = 16 * 1024;

/// Moves the state on, where it is the first one. Returns whether it was.
fn advance(network: &Network, from: u8, to: u8) -> bool {
    let moved = network
        .response
        .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    moved.is_ok()
}
