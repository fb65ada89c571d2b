//! A man in the middle: terminates the client's TLS in front of its server.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use openssl::ssl::{Ssl, SslAcceptor, SslConnector, SslMethod, SslVerifyMode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_openssl::SslStream;

use crate::client_capture::{CaptureWriter, ClientCapture};
use crate::{Identity, at};

/// Behavior of a man in the middle towards a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MitmBehavior {
    /// Relays everything to the server, over a second TLS connection.
    Relay,
    /// Relays, and removes `SCRAM-SHA-256-PLUS` from the server's list of SASL mechanisms.
    StripScramPlus,
    /// Relays, and changes the number of the process in the server's cancel key, as a pooler that
    /// makes up cancel keys does.
    OwnCancelKeys,
    /// Relays without encryption, as TLS-terminating load balancers do. The server then offers no
    /// `SCRAM-SHA-256-PLUS`.
    TerminateTls,
    /// Relays, and drops what clients send between their startup message and the server's reply to
    /// it.
    DropEarlyBytes,
    /// Relays, and closes the connection of a client that sends anything between its startup
    /// message and the server's reply to it.
    CloseOnEarlyBytes,
    /// Relays, and drops the statements that clients send before the server is ready for a query.
    DropEarlyStatements,
    /// Relays, and closes the connection of a client that sends a statement before the server is
    /// ready for a query.
    CloseOnEarlyStatements,
    /// Relays, and never answers direct TLS: it reads the ClientHello as the beginning of a long
    /// message, as PgBouncer 1.24 does.
    IgnoreDirectTls,
}

/// Running man in the middle.
#[derive(Debug)]
pub struct Mitm {
    port: u16,
    capture: ClientCapture,
    serving: JoinHandle<()>,
}

impl Mitm {
    /// Listens in front of the server at `upstream`, and presents this certificate to clients.
    ///
    /// # Panics
    ///
    /// When a step fails.
    pub async fn start(upstream: SocketAddr, shown: &Identity, behavior: MitmBehavior) -> Self {
        let acceptor = shown.acceptor().build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let capture = ClientCapture::default();
        let shared = capture.clone();
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    // Client and server see any error themselves.
                    serve(client, upstream, behavior, &acceptor, &shared)
                        .await
                        .ok()
                });
            }
        });
        Self {
            port,
            capture,
            serving,
        }
    }

    /// Returns a database URL that leads to this man in the middle instead of the server.
    pub fn url(&self, url: &str) -> String {
        at(url, self.port)
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Returns the bytes that clients sent.
    pub fn capture(&self) -> &ClientCapture {
        &self.capture
    }
}

impl Drop for Mitm {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    client: TcpStream,
    upstream: SocketAddr,
    behavior: MitmBehavior,
    acceptor: &SslAcceptor,
    shared: &ClientCapture,
) -> anyhow::Result<()> {
    if behavior == MitmBehavior::IgnoreDirectTls && begins_with_tls(&client).await? {
        return std::future::pending().await;
    }
    let client = accept(client, acceptor).await?;
    let writer = shared.open_writer();
    let mut server = TcpStream::connect(upstream).await?;
    if behavior == MitmBehavior::TerminateTls {
        return relay(client, server, behavior, &writer).await;
    }
    server.write_all(&SSL_REQUEST).await?;
    anyhow::ensure!(server.read_u8().await? == b'S', "the server refuses TLS");
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_verify(SslVerifyMode::NONE);
    let connector = connector.build().configure()?.verify_hostname(false);
    let mut server = SslStream::new(connector.into_ssl("localhost")?, server)?;
    Pin::new(&mut server).connect().await?;
    relay(client, server, behavior, &writer).await
}

/// Accepts a client's TLS as Postgres does: direct TLS, or after an SSLRequest.
pub(crate) async fn accept(
    mut tcp: TcpStream,
    acceptor: &SslAcceptor,
) -> anyhow::Result<SslStream<TcpStream>> {
    if !begins_with_tls(&tcp).await? {
        let mut request = [0; 8];
        tcp.read_exact(&mut request).await?;
        anyhow::ensure!(request == SSL_REQUEST, "the client sends no SSLRequest");
        tcp.write_all(b"S").await?;
    }
    let mut tls = SslStream::new(Ssl::new(acceptor.context())?, tcp)?;
    Pin::new(&mut tls).accept().await?;
    Ok(tls)
}

async fn begins_with_tls(client: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0];
    client.peek(&mut first).await?;
    Ok(first[0] == TLS_RECORD)
}

async fn relay(
    client: impl AsyncRead + AsyncWrite,
    server: impl AsyncRead + AsyncWrite,
    behavior: MitmBehavior,
    writer: &CaptureWriter,
) -> anyhow::Result<()> {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    if matches!(
        behavior,
        MitmBehavior::DropEarlyBytes | MitmBehavior::CloseOnEarlyBytes
    ) {
        let length = from_client.read_u32().await?;
        let mut startup = length.to_be_bytes().to_vec();
        startup.resize(length as usize, 0);
        from_client.read_exact(&mut startup[4..]).await?;
        writer.append(&startup);
        to_server.write_all(&startup).await?;
        let mut early = [0; 1024];
        let offer = async { message(&mut from_server).await };
        tokio::pin!(offer);
        let offer = loop {
            tokio::select! {
                // Early bytes are already there when the server replies.
                biased;
                read = from_client.read(&mut early) => match read? {
                    0 => return Ok(()),
                    _ if behavior == MitmBehavior::CloseOnEarlyBytes => return Ok(()),
                    read => writer.append(&early[..read]),
                },
                offer = &mut offer => break offer?,
            }
        };
        to_client.write_all(&offer).await?;
    }
    if matches!(
        behavior,
        MitmBehavior::DropEarlyStatements | MitmBehavior::CloseOnEarlyStatements
    ) {
        let client = (from_client, to_client);
        let drops = behavior == MitmBehavior::DropEarlyStatements;
        return relay_messages(client, (from_server, to_server), drops, writer).await;
    }
    let up = async {
        let mut bytes = [0; 1024];
        loop {
            let read = from_client.read(&mut bytes).await?;
            if read == 0 {
                to_server.shutdown().await?;
                return anyhow::Ok(());
            }
            writer.append(&bytes[..read]);
            to_server.write_all(&bytes[..read]).await?;
        }
    };
    let down = async {
        if behavior == MitmBehavior::StripScramPlus {
            let offer = without_plus(&mut from_server).await?;
            to_client.write_all(&offer).await?;
        }
        if behavior == MitmBehavior::OwnCancelKeys {
            relay_until_cancel_key(&mut from_server, &mut to_client).await?;
        }
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await?;
        anyhow::Ok(())
    };
    tokio::try_join!(up, down)?;
    Ok(())
}

/// Relays message by message. A statement that comes before the server is ready is dropped, or
/// ends the connection.
async fn relay_messages(
    (mut from_client, mut to_client): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    (mut from_server, mut to_server): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    drops: bool,
    writer: &CaptureWriter,
) -> anyhow::Result<()> {
    let is_ready = AtomicBool::new(false);
    let up = async {
        let length = from_client.read_u32().await?;
        let mut startup = length.to_be_bytes().to_vec();
        startup.resize(length as usize, 0);
        from_client.read_exact(&mut startup[4..]).await?;
        writer.append(&startup);
        to_server.write_all(&startup).await?;
        loop {
            let message = message(&mut from_client).await?;
            writer.append(&message);
            let is_early = message[0] == b'Q' && !is_ready.load(Ordering::SeqCst);
            anyhow::ensure!(!is_early || drops, "the client sent an early statement");
            if !is_early {
                to_server.write_all(&message).await?;
            }
        }
    };
    let down = async {
        loop {
            let message = message(&mut from_server).await?;
            if message[0] == b'Z' {
                is_ready.store(true, Ordering::SeqCst);
            }
            to_client.write_all(&message).await?;
        }
    };
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}

/// Relays the server's messages up to its cancel key, whose process gets another number.
async fn relay_until_cancel_key(
    server: &mut (impl AsyncRead + Unpin),
    client: &mut (impl AsyncWrite + Unpin),
) -> anyhow::Result<()> {
    loop {
        let mut message = message(server).await?;
        let is_cancel_key = message[0] == BACKEND_KEY_DATA;
        if is_cancel_key {
            message[8] ^= 1;
        }
        client.write_all(&message).await?;
        if is_cancel_key {
            return Ok(());
        }
    }
}

/// Reads the server's first message and removes the mechanism with channel binding from it.
async fn without_plus(server: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<Vec<u8>> {
    let mut offer = message(server).await?;
    if let Some(start) = offer.windows(PLUS.len()).position(|part| part == PLUS) {
        offer.drain(start..start + PLUS.len());
        let length = u32::try_from(offer.len() - 1)?;
        offer[1..5].copy_from_slice(&length.to_be_bytes());
    }
    Ok(offer)
}

/// Reads a whole message: its tag, its length, its body.
async fn message(server: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<Vec<u8>> {
    let mut whole = vec![0; 5];
    server.read_exact(&mut whole).await?;
    let length = u32::from_be_bytes([whole[1], whole[2], whole[3], whole[4]]);
    whole.resize(length as usize + 1, 0);
    server.read_exact(&mut whole[5..]).await?;
    Ok(whole)
}

/// Length 8, then the code 80877103 (postgresql.org/docs/18/protocol-message-formats.html).
pub(crate) const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// First byte of a TLS handshake. Postgres's own messages begin with a length.
const TLS_RECORD: u8 = 0x16;

/// Tag of the message with the process and its cancel key.
const BACKEND_KEY_DATA: u8 = b'K';

/// Mechanism in the server's list, each of which ends in a zero byte.
const PLUS: &[u8] = b"SCRAM-SHA-256-PLUS\0";
