//! A network between a client and a server that counts what passes and can be cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

use crate::{Error, ErrorKind};

/// A TCP proxy before one server, on a free port of 127.0.0.1.
///
/// It counts round trips: each time that the client sends and the server had
/// the last word is one. Unlike a time, that count does not depend on the machine.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    traffic: Arc<Traffic>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Traffic {
    connections: AtomicUsize,
    round_trips: AtomicUsize,
    open: Mutex<Vec<AbortHandle>>,
}

impl Proxy {
    /// Starts a proxy before the server at `upstream`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] when no port can be had.
    pub async fn start(upstream: SocketAddr) -> Result<Self, Error> {
        let refuse = |error| {
            Error::new(ErrorKind::System, "could not open a port for the proxy").because(error)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(refuse)?;
        let port = listener.local_addr().map_err(refuse)?.port();
        let traffic = Arc::new(Traffic::default());
        let accepting = tokio::spawn(accept(listener, upstream, traffic.clone()));
        Ok(Self {
            port,
            traffic,
            accepting,
        })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections that were made through it so far.
    pub fn connections(&self) -> usize {
        self.traffic.connections.load(Ordering::SeqCst)
    }

    /// Round trips on all its connections so far. Opening a TCP connection is
    /// one more each, which the proxy cannot see.
    pub fn round_trips(&self) -> usize {
        self.traffic.round_trips.load(Ordering::SeqCst)
    }

    /// Cuts all connections that are open now. New ones are served.
    pub fn cut(&self) {
        for connection in self.traffic.open().drain(..) {
            connection.abort();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Traffic {
    fn open(&self) -> std::sync::MutexGuard<'_, Vec<AbortHandle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, traffic: Arc<Traffic>) {
    while let Ok((client, _)) = listener.accept().await {
        traffic.connections.fetch_add(1, Ordering::SeqCst);
        let connection = tokio::spawn(relay(client, upstream, traffic.clone()));
        let mut open = traffic.open();
        open.retain(|connection| !connection.is_finished());
        open.push(connection.abort_handle());
    }
}

async fn relay(
    mut client: TcpStream,
    upstream: SocketAddr,
    traffic: Arc<Traffic>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let last = AtomicU8::new(SERVER);
    let sent = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return to_server.shutdown().await;
            }
            if last.swap(CLIENT, Ordering::SeqCst) == SERVER {
                traffic.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            to_server.write_all(&buffer[..read]).await?;
        }
    };
    let answered = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 {
                return to_client.shutdown().await;
            }
            last.store(SERVER, Ordering::SeqCst);
            to_client.write_all(&buffer[..read]).await?;
        }
    };
    tokio::try_join!(sent, answered).map(|_| ())
}

/// Who had the last word on a connection.
const CLIENT: u8 = 0;
const SERVER: u8 = 1;

const BUFFER_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with the same byte.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn round_trips_are_counted_by_turns_and_not_by_packets() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))
            .await
            .unwrap();
        for turn in 1..=3 {
            stream.write_all(b"ab").await.unwrap();
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(proxy.round_trips(), turn);
        }
        assert_eq!(proxy.connections(), 1);
    }

    #[tokio::test]
    async fn cut_ends_what_is_open_and_lets_new_connections_in() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()));
        let mut old = connect().await.unwrap();
        old.write_all(b"a").await.unwrap();
        old.read_u8().await.unwrap();
        proxy.cut();
        assert!(old.read_u8().await.is_err());
        let mut new = connect().await.unwrap();
        new.write_all(b"b").await.unwrap();
        assert_eq!(new.read_u8().await.unwrap(), b'b');
    }
}
