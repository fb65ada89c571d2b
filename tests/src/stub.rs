//! A server that begins like Postgres and then does what a test says: the ones
//! that a real Postgres cannot be made into.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use native_tls::Identity;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_native_tls::TlsAcceptor;

/// What the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stub {
    /// Takes the connection and says nothing.
    Silent,
    /// Offers no encryption.
    NoTls,
    /// Answers the request for encryption with something else.
    NotPostgres,
    /// Closes the connection when asked for encryption.
    HangsUp,
    /// Asks for the password as it is.
    Cleartext,
    /// Asks for an MD5 hash of the password.
    Md5,
    /// Offers SCRAM without channel binding.
    ScramAlone,
    /// Offers SCRAM with channel binding and does not know the password.
    Impostor,
    /// Lets anybody in without a password.
    Trust,
}

/// A running stub with a self-signed certificate for `localhost`.
#[derive(Debug)]
pub struct StubServer {
    port: u16,
    certificate: tempfile::NamedTempFile,
    heard: Heard,
    serving: JoinHandle<()>,
}

/// What clients said after they had named themselves.
type Heard = Arc<Mutex<Vec<u8>>>;

impl StubServer {
    /// Starts it on a free port.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub async fn start(stub: Stub) -> Self {
        let (identity, pem) = self_signed();
        let acceptor = TlsAcceptor::from(native_tls::TlsAcceptor::new(identity).expect("TLS"));
        let certificate = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(certificate.path(), pem).expect("a file");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let heard = Heard::default();
        let ears = heard.clone();
        let serving = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, ears) = (acceptor.clone(), ears.clone());
                // However a connection ends is up to the client.
                tokio::spawn(async move { serve(tcp, stub, &acceptor, &ears).await.ok() });
            }
        });
        Self {
            port,
            certificate,
            heard,
            serving,
        }
    }

    /// A URL of it, with a password that holds the canary.
    pub fn url(&self, query: &str) -> String {
        let port = self.port;
        format!(
            "postgres://shop:{}-stub@localhost:{port}/shop?{query}",
            crate::CANARY
        )
    }

    /// Whether a client told it anything that depends on the password. The beginning
    /// of SCRAM, which a client may send unasked, does not.
    pub fn was_told(&self) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = &heard[..];
        while let [b'p', a, b, c, d, body @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
            if !body.starts_with(b"SCRAM-SHA-256") {
                return true;
            }
            rest = body.get(length..).unwrap_or_default();
        }
        !rest.is_empty()
    }

    /// Its certificate, as a file.
    pub fn certificate(&self) -> PathBuf {
        self.certificate.path().to_owned()
    }
}

impl Drop for StubServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A new self-signed certificate for `localhost`: with its key, and as PEM.
pub(crate) fn self_signed() -> (Identity, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let pem = cert.pem();
    let identity = Identity::from_pkcs8(pem.as_bytes(), signing_key.serialize_pem().as_bytes())
        .expect("an identity");
    (identity, pem)
}

async fn serve(
    mut tcp: TcpStream,
    stub: Stub,
    acceptor: &TlsAcceptor,
    heard: &Heard,
) -> anyhow::Result<()> {
    let mut request = [0; 8];
    tcp.read_exact(&mut request).await?;
    match stub {
        Stub::Silent => std::future::pending().await,
        Stub::NoTls => return Ok(tcp.write_all(b"N").await?),
        Stub::NotPostgres => return Ok(tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?),
        Stub::HangsUp => return Ok(()),
        _ => tcp.write_all(b"S").await?,
    }
    let mut tls = acceptor.accept(tcp).await?;
    let length = tls.read_u32().await?;
    let mut startup = vec![0; length as usize - 4];
    tls.read_exact(&mut startup).await?;
    match stub {
        Stub::Cleartext => authentication(&mut tls, 3, &[]).await?,
        Stub::Md5 => authentication(&mut tls, 5, b"salt").await?,
        Stub::ScramAlone => authentication(&mut tls, 10, b"SCRAM-SHA-256\0\0").await?,
        Stub::Impostor => {
            authentication(&mut tls, 10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0").await?;
            impostor(&mut tls).await?;
        }
        _ => {
            authentication(&mut tls, 0, &[]).await?;
            message(&mut tls, b'Z', b"I").await?;
        }
    }
    // Whoever sends a password now has lost it.
    let mut bytes = [0; 1024];
    loop {
        let read = tls.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(&bytes[..read]);
    }
}

/// Goes through SCRAM as one who does not know the password's verifier can: up
/// to the signature, which it has to invent.
async fn impostor<S: AsyncRead + AsyncWrite + Unpin>(tls: &mut S) -> anyhow::Result<()> {
    let first = read_message(tls).await?;
    let first = String::from_utf8_lossy(&first);
    let nonce = first.rsplit("r=").next().unwrap_or_default();
    let challenge = format!("r={nonce}server,s=c2FsdHNhbHQ=,i=4096");
    authentication(tls, 11, challenge.as_bytes()).await?;
    read_message(tls).await?;
    let signature = b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    authentication(tls, 12, signature).await?;
    authentication(tls, 0, &[]).await?;
    message(tls, b'Z', b"I").await
}

async fn read_message<S: AsyncRead + Unpin>(tls: &mut S) -> anyhow::Result<Vec<u8>> {
    tls.read_u8().await?;
    let length = tls.read_u32().await?;
    let mut body = vec![0; length as usize - 4];
    tls.read_exact(&mut body).await?;
    Ok(body)
}

async fn authentication<S: AsyncWrite + Unpin>(
    tls: &mut S,
    kind: u32,
    rest: &[u8],
) -> anyhow::Result<()> {
    message(tls, b'R', &[&kind.to_be_bytes(), rest].concat()).await
}

async fn message<S: AsyncWrite + Unpin>(tls: &mut S, tag: u8, body: &[u8]) -> anyhow::Result<()> {
    let length = u32::try_from(body.len() + 4)?;
    tls.write_all(&[&[tag][..], &length.to_be_bytes(), body].concat())
        .await?;
    Ok(tls.flush().await?)
}
