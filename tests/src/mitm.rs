//! A man in the middle: ends the client's TLS with a certificate of his own and
//! passes everything on to the real server.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_native_tls::{TlsAcceptor, TlsConnector};

use crate::stub::self_signed;

/// A running man in the middle.
#[derive(Debug)]
pub struct Mitm {
    port: u16,
    serving: JoinHandle<()>,
}

impl Mitm {
    /// Stands before the server at `upstream`.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub async fn start(upstream: SocketAddr) -> Self {
        let (identity, _) = self_signed();
        let acceptor = TlsAcceptor::from(native_tls::TlsAcceptor::new(identity).expect("TLS"));
        let connector = native_tls::TlsConnector::builder()
            .danger_accept_invalid_certs(true)
            .danger_accept_invalid_hostnames(true)
            .build()
            .expect("TLS");
        let connector = TlsConnector::from(connector);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                tokio::spawn(async move {
                    // However a connection ends is up to the two at its ends.
                    relay(client, upstream, &acceptor, &connector).await.ok()
                });
            }
        });
        Self { port, serving }
    }

    /// His port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Mitm {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn relay(
    mut client: TcpStream,
    upstream: SocketAddr,
    acceptor: &TlsAcceptor,
    connector: &TlsConnector,
) -> anyhow::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    server.write_all(&request).await?;
    client.write_all(&[server.read_u8().await?]).await?;
    let mut client = acceptor.accept(client).await?;
    let mut server = connector.connect("localhost", server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
