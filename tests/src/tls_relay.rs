//! TLS in front of a server that has none, as a company's gateway or a provider's API has it.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;

use openssl::ssl::Ssl;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_openssl::SslStream;

use crate::Identity;

/// A running relay. Drop stops it.
#[derive(Debug)]
pub struct TlsRelay {
    url: String,
    serving: JoinHandle<()>,
}

impl TlsRelay {
    /// Listens in front of the server of a plain `http` URL, and presents this certificate.
    ///
    /// # Panics
    ///
    /// When a step fails.
    pub async fn start(plain: &str, shown: &Identity) -> Self {
        let rest = plain.strip_prefix("http://").expect("a plain URL");
        let (upstream, path) = rest.split_once('/').unwrap_or((rest, ""));
        let upstream = upstream.to_owned();
        let acceptor = Arc::new(shown.acceptor().build());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, upstream) = (Arc::clone(&acceptor), upstream.clone());
                // A client that refuses the certificate ends its own connection.
                tokio::spawn(async move {
                    let mut client = SslStream::new(Ssl::new(acceptor.context())?, client)?;
                    Pin::new(&mut client).accept().await?;
                    let mut server = TcpStream::connect(upstream).await?;
                    copy_bidirectional(&mut client, &mut server).await?;
                    anyhow::Ok(())
                });
            }
        });
        let path = match path {
            "" => String::new(),
            path => format!("/{path}"),
        };
        Self {
            url: format!("https://localhost:{port}{path}"),
            serving,
        }
    }

    /// URL of the server through the relay.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TlsRelay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
