//! The network between a test's function and its database, which a test can cut.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

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
    /// The response to the next statement is to be lost.
    is_armed: AtomicBool,
    opened: AtomicUsize,
}

impl Relay {
    /// Opens a port. Its tasks run on the current runtime.
    pub(crate) async fn open(host: &str, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let network = Arc::new(Network {
            cuts: watch::Sender::new(0),
            is_armed: AtomicBool::new(false),
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

    /// Loses the response to the next message that is behind the login of its connection, and resets that
    /// connection.
    pub(crate) fn cut_before_next_response(&self) {
        self.network.is_armed.store(true, Ordering::Release);
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
    let login = Login::default();
    // The response that comes next on this connection is to be lost.
    let is_lost = AtomicBool::new(false);
    let requests = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            if login.is_over_at(&buffer[..length]) && network.is_armed.swap(false, Ordering::AcqRel)
            {
                is_lost.store(true, Ordering::Release);
            }
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        false
    };
    let responses = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            if is_lost.load(Ordering::Acquire) {
                break;
            }
            login.server_has_answered();
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
    let is_lost = is_lost.into_inner();
    if is_lost {
        finish(server).await;
    }
    if is_cut || is_lost {
        // The client gets a reset and no orderly end.
        let _ = client.set_zero_linger();
    }
}

/// Lets a server do what it was asked for, before the client learns that the connection is gone: so the test
/// can look for it. A reset would make the server forget what it has not read yet.
async fn finish(mut server: TcpStream) {
    let finished = async {
        let _ = server.shutdown().await;
        tokio::io::copy(&mut server, &mut tokio::io::sink()).await
    };
    let _ = timeout(FINISH_LIMIT, finished).await;
}

/// The longest wait for what a server was asked for: a statement may wait for a lock of the test's.
const FINISH_LIMIT: Duration = Duration::from_secs(2);

const BUFFER_BYTES: usize = 16 * 1024;

/// The login of a connection, which the relay knows by the turns of both sides alone: what they send is
/// encrypted.
#[derive(Default)]
struct Login {
    /// The number of times that the client spoke, and was answered before it spoke again.
    turns: AtomicU32,
    turns_of_login: AtomicU32,
    is_answered: AtomicBool,
}

impl Login {
    /// Returns whether a message of the client, whose first bytes these are, comes behind the login.
    fn is_over_at(&self, bytes: &[u8]) -> bool {
        let turn = self.turns.load(Ordering::Relaxed);
        if turn == 0 {
            // A handshake without a request for encryption takes a turn less.
            let is_direct = bytes.first() == Some(&TLS_HANDSHAKE);
            let turns = if is_direct { TURNS - 1 } else { TURNS };
            self.turns_of_login.store(turns, Ordering::Relaxed);
        }
        if turn == 0 || self.is_answered.swap(false, Ordering::AcqRel) {
            self.turns.store(turn + 1, Ordering::Relaxed);
        }
        self.turns.load(Ordering::Relaxed) > self.turns_of_login.load(Ordering::Relaxed)
    }

    fn server_has_answered(&self) {
        self.is_answered.store(true, Ordering::Release);
    }
}

/// The turns in which the SDK logs in: the request for encryption, the handshake's first message, its last one
/// with the start-up and SCRAM's first message, and SCRAM's last message.
const TURNS: u32 = 4;

/// The type of a record of TLS that holds a handshake's message (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;
