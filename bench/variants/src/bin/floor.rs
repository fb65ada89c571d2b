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
use std::sync::Arc;
use std::task::{Context, Poll};

use lambda_http::{Error, Request, run, service_fn};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use stagelink_bench_variants::{Answer, Question, variable};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::tls::{self, MakeTlsConnect, TlsConnect};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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

/// Opens TLS connections with rustls.
struct Tls(Arc<ClientConfig>);

impl Tls {
    fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(CryptoProvider {
            // Postgres before 18 uses P-256, and answers another key share with a
            // HelloRetryRequest: one more round trip.
            kx_groups: vec![kx_group::SECP256R1, kx_group::X25519, kx_group::SECP384R1],
            ..default_provider()
        });
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            // Channel binding authenticates the server, see above.
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }
}

/// Accepts any certificate whose key has signed the handshake.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            own,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            own,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Error> {
        let name = ServerName::try_from(host.to_owned())?;
        Ok(Handshake(TlsConnector::from(Arc::clone(&self.0)), name))
    }
}

struct Handshake(TlsConnector, ServerName<'static>);

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { self.0.connect(self.1, stream).await.map(Stream) })
    }
}

struct Stream<S>(TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> tls::TlsStream for Stream<S> {
    fn channel_binding(&self) -> tls::ChannelBinding {
        let certificates = self.0.get_ref().1.peer_certificates();
        match certificates.and_then(|shown| end_point(shown.first()?)) {
            Some(hash) => tls::ChannelBinding::tls_server_end_point(hash),
            None => tls::ChannelBinding::none(),
        }
    }
}

/// Hashes a certificate with the algorithm of its signature (`tls-server-end-point`, RFC 5929,
/// section 4.1). Those of the benchmark are signed with RSA or ECDSA and SHA-2.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (whole, _) = value(certificate)?;
    let (_, after) = value(whole)?;
    let (algorithm, _) = value(after)?;
    let (name, _) = value(algorithm)?;
    Some(match name {
        // sha256WithRSAEncryption and ecdsa-with-SHA256, then those of SHA-384 and SHA-512.
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b" | b"\x2a\x86\x48\xce\x3d\x04\x03\x02" => {
            Sha256::digest(certificate).to_vec()
        }
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c" | b"\x2a\x86\x48\xce\x3d\x04\x03\x03" => {
            Sha384::digest(certificate).to_vec()
        }
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d" | b"\x2a\x86\x48\xce\x3d\x04\x03\x04" => {
            Sha512::digest(certificate).to_vec()
        }
        _ => return None,
    })
}

/// Splits the value of the first element of a DER text from what follows it.
fn value(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = der.get(1..)?.split_first()?;
    let bytes = usize::from(length.saturating_sub(0x80));
    let (long, rest) = rest.split_at_checked(bytes)?;
    let length = match length {
        0x80.. => long
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        short => usize::from(short),
    };
    rest.split_at_checked(length)
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
