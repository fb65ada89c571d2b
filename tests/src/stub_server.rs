//! A server that starts like Postgres and then misbehaves in ways that a real Postgres cannot be
//! configured to.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use openssl::ssl::{SslAcceptor, SslOptions, SslVersion};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::Identity;
use crate::client_capture::{CaptureWriter, ClientCapture};
use crate::mitm::accept;

/// Behavior of a stub server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StubBehavior {
    /// Accepts the connection and never answers.
    Silent,
    /// Offers no encryption.
    NoTls,
    /// Answers the SSLRequest with something other than Postgres's protocol.
    NotPostgres,
    /// Closes the connection after the SSLRequest.
    CloseConnection,
    /// Asks for the password in cleartext.
    Cleartext,
    /// Asks for an MD5 hash of the password.
    Md5,
    /// Offers SCRAM without channel binding.
    ScramWithoutChannelBinding,
    /// Offers SCRAM with channel binding, without knowing the password.
    Impostor,
    /// Accepts any client without a password.
    Trust,
    /// Accepts any client without a password, with this version of TLS at most.
    MaxTlsVersion(SslVersion),
    /// Reports that no connection slot is left, instead of asking for a password.
    Full,
    /// Sends an error with this code and message, instead of asking for a password.
    Refuse(&'static str, &'static str),
    /// Answers the SSLRequest with the byte `E` and this text.
    RefuseBeforeTls(&'static str),
}

/// Running stub server.
#[derive(Debug)]
pub struct StubServer {
    port: u16,
    certificate: tempfile::NamedTempFile,
    capture: ClientCapture,
    serving: JoinHandle<()>,
}

impl StubServer {
    /// Starts a stub on a free port, with a self-signed certificate for `localhost`.
    ///
    /// # Panics
    ///
    /// When a step fails.
    pub async fn start(stub: StubBehavior) -> Self {
        Self::with_identity(&Identity::self_signed(), stub).await
    }

    /// Starts a stub on a free port, with this certificate.
    ///
    /// # Panics
    ///
    /// When a step fails.
    pub async fn with_identity(identity: &Identity, stub: StubBehavior) -> Self {
        let mut acceptor = identity.acceptor();
        if let StubBehavior::MaxTlsVersion(newest) = stub {
            // OpenSSL accepts TLS this old at its lowest security level only.
            acceptor
                .set_cipher_list("ALL:@SECLEVEL=0")
                .and_then(|()| acceptor.set_min_proto_version(None))
                .and_then(|()| acceptor.set_max_proto_version(Some(newest)))
                .expect("old TLS");
            acceptor.clear_options(SslOptions::NO_TLSV1 | SslOptions::NO_TLSV1_1);
        }
        let acceptor = acceptor.build();
        let certificate = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(certificate.path(), &identity.certificate_pem).expect("a file");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let capture = ClientCapture::default();
        let shared = capture.clone();
        let serving = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), shared.clone());
                // The client sees any error itself.
                tokio::spawn(async move { serve(tcp, stub, &acceptor, &shared).await.ok() });
            }
        });
        Self {
            port,
            certificate,
            capture,
            serving,
        }
    }

    /// Returns the stub's URL, with a password that contains the canary.
    pub fn url(&self, query: &str) -> String {
        let port = self.port;
        format!(
            "postgres://shop:{}-stub@localhost:{port}/shop?{query}",
            crate::CANARY
        )
    }

    /// Returns the stub's address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Returns the bytes that clients sent.
    pub fn capture(&self) -> &ClientCapture {
        &self.capture
    }

    /// Returns the path of its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.certificate.path().to_owned()
    }
}

impl Drop for StubServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut tcp: TcpStream,
    stub: StubBehavior,
    acceptor: &SslAcceptor,
    capture: &ClientCapture,
) -> anyhow::Result<()> {
    let refusal: &[u8] = match stub {
        StubBehavior::Silent => return std::future::pending().await,
        StubBehavior::NoTls => b"N",
        StubBehavior::NotPostgres => b"HTTP/1.1 400 Bad Request\r\n\r\n",
        StubBehavior::CloseConnection => b"",
        StubBehavior::RefuseBeforeTls(text) => {
            capture.open_writer();
            let mut request = [0; 8];
            tcp.read_exact(&mut request).await?;
            return Ok(tcp.write_all(format!("E{text}").as_bytes()).await?);
        }
        _ => return authenticate(accept(tcp, acceptor).await?, stub, &capture.open_writer()).await,
    };
    let mut request = [0; 8];
    tcp.read_exact(&mut request).await?;
    Ok(tcp.write_all(refusal).await?)
}

async fn authenticate<S>(
    mut tls: S,
    stub: StubBehavior,
    writer: &CaptureWriter,
) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let length = tls.read_u32().await?;
    let mut startup = vec![0; length as usize - 4];
    tls.read_exact(&mut startup).await?;
    writer.append(&length.to_be_bytes());
    writer.append(&startup);
    match stub {
        StubBehavior::Cleartext => authentication(&mut tls, 3, &[]).await?,
        StubBehavior::Md5 => authentication(&mut tls, 5, b"salt").await?,
        StubBehavior::ScramWithoutChannelBinding => {
            authentication(&mut tls, 10, b"SCRAM-SHA-256\0\0").await?;
        }
        StubBehavior::Impostor => {
            authentication(&mut tls, 10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0").await?;
            impostor(&mut tls).await?;
        }
        StubBehavior::Full => {
            let fields = b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0";
            return message(&mut tls, b'E', fields).await;
        }
        StubBehavior::Refuse(code, text) => {
            let fields = format!("SFATAL\0VFATAL\0C{code}\0M{text}\0\0");
            return message(&mut tls, b'E', fields.as_bytes()).await;
        }
        _ => {
            authentication(&mut tls, 0, &[]).await?;
            message(&mut tls, b'Z', b"I").await?;
        }
    }
    // A client that sends its password now has leaked it.
    let mut bytes = [0; 1024];
    loop {
        let read = tls.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        writer.append(&bytes[..read]);
    }
}

/// Runs SCRAM as an impostor without the password's verifier can: up to the server's signature,
/// which it has to invent.
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
