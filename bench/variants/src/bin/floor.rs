//! The lower bound for such a function: one connection with the driver alone, opened before the
//! first request and never replaced.
//!
//! It authenticates the server as stagelink does, by SCRAM with channel binding, so it needs and
//! reads no certificate authority. It sends the statement with its types in one round trip, as
//! stagelink does. Preparing it first would take another round trip at the start, and save
//! Postgres the parsing afterwards.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use lambda_http::{Error, Request, run, service_fn};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509Ref;
use stagelink_bench_variants::{Answer, Question, variable};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_openssl::SslStream;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::tls::{self, MakeTlsConnect, TlsConnect};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = &connect(&variable("DATABASE_URL")?).await?;
    run(service_fn(async |request: Request| {
        let question = Question::of(&request)?;
        let parameters = &[(&question.id as _, Type::INT8)];
        let query = client.query_typed_one(question.query(), parameters);
        Ok::<_, Error>(match question.in_time(query).await? {
            Some(row) => Answer::item(row.get(0), row.get(1)),
            None => Answer::GivenUp,
        })
    }))
    .await
}

async fn connect(url: &str) -> Result<Client, Error> {
    let mut config: Config = url.parse()?;
    config
        .ssl_mode(SslMode::Require)
        .channel_binding(ChannelBinding::Require);
    let (client, connection) = config.connect(Tls::new()?).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Opens TLS connections with OpenSSL.
struct Tls(SslContext);

impl Tls {
    fn new() -> Result<Self, ErrorStack> {
        let mut context = SslContext::builder(SslMethod::tls_client())?;
        context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        // Postgres before 18 uses P-256, and answers another key share with a HelloRetryRequest:
        // one more round trip.
        context.set_groups_list("P-256:X25519:P-384")?;
        // Channel binding authenticates the server, see above.
        context.set_verify(SslVerifyMode::NONE);
        Ok(Self(context.build()))
    }
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = ErrorStack;

    fn make_tls_connect(&mut self, _host: &str) -> Result<Handshake, ErrorStack> {
        Ssl::new(&self.0).map(Handshake)
    }
}

struct Handshake(Ssl);

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Stream<S>, Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let mut stream = SslStream::new(self.0, stream)?;
            Pin::new(&mut stream).connect().await?;
            Ok(Stream(stream))
        })
    }
}

struct Stream<S>(SslStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> tls::TlsStream for Stream<S> {
    fn channel_binding(&self) -> tls::ChannelBinding {
        let certificate = self.0.ssl().peer_certificate();
        match certificate.and_then(|certificate| end_point(&certificate)) {
            Some(hash) => tls::ChannelBinding::tls_server_end_point(hash),
            None => tls::ChannelBinding::none(),
        }
    }
}

/// Hashes a certificate with the algorithm of its signature, or with SHA-256 where that is older
/// (`tls-server-end-point`, RFC 5929, section 4.1).
fn end_point(certificate: &X509Ref) -> Option<Vec<u8>> {
    let signature = certificate.signature_algorithm().object().nid();
    let digest = match signature.signature_algorithms()?.digest {
        Nid::MD5 | Nid::SHA1 => MessageDigest::sha256(),
        digest => MessageDigest::from_nid(digest)?,
    };
    Some(certificate.digest(digest).ok()?.to_vec())
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
