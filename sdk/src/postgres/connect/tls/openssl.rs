//! TLS by OpenSSL itself, which is what `native-tls` would use on Linux.
//!
//! Its connector reads the system's roots whether they are wanted or not, which
//! costs more than the rest of a function's start. And it cannot say that P-256 is
//! to be offered first: Postgres up to 17 answers anything else with a request to
//! try again, a round trip more (`ssl_ecdh_curve` of postgresql.org/docs/17/runtime-config-connection.html).

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Once, OnceLock};
use std::task::{Context, Poll};

use futures_util::future::join;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::ssl::{
    Ssl, SslContext, SslFiletype, SslMethod, SslMode, SslOptions, SslRef, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::stack::Stack;
use openssl::x509::store::{X509Lookup, X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509CheckFlags, X509VerifyParam};
use openssl::x509::{X509, X509PurposeId, X509StoreContext, X509VerifyResult};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::{Anchors, Authority, POSTGRESQL, Peer, Refusal, has_hung_up, set_up_failed};
use crate::config::ServerPin;
use crate::error::{Error, ErrorKind};

/// An encrypted connection to a server that has not proved anything yet.
pub(in crate::postgres) struct Stream(SslStream<TcpStream>);

/// What a server has shown: its certificate, and those that should lead to a root.
pub(in crate::postgres) struct Certificate {
    own: X509,
    chain: Stack<X509>,
}

/// A server's public key.
#[derive(Clone, Debug)]
pub(in crate::postgres) struct PublicKey(PKey<Public>);

/// Shakes hands. With `anchors` the certificate is judged in the course of that.
pub(in crate::postgres) async fn handshake(
    mut tcp: TcpStream,
    peer: Peer<'_>,
    anchors: Option<Anchors<'_>>,
) -> Result<(Stream, Certificate), Refusal> {
    let make = || {
        let mut ssl = ssl(peer).map_err(set_up_failed)?;
        if let Some(anchors) = anchors {
            let store = store(anchors)?;
            ssl.set_verify_cert_store(store).map_err(set_up_failed)?;
            ssl.set_verify(SslVerifyMode::PEER);
        }
        Ok(ssl)
    };
    let ssl = peer.ask_and(&mut tcp, make).await?;
    let mut stream = SslStream::new(ssl, tcp).map_err(set_up_failed)?;
    let connect = Pin::new(&mut stream).connect();
    // The second is done when the first has sent what it begins with, and waits.
    let (connected, ()) = join(connect, async { expect_certificate() }).await;
    connected.map_err(|error| {
        let verified = stream.ssl().verify_result();
        if anchors.is_some() && verified != X509VerifyResult::OK {
            return peer.distrusted(verified.error_string()).into();
        }
        // OpenSSL tells the end of the stream without an error of its own.
        let hung_up = match error.io_error() {
            Some(error) => has_hung_up(error.kind()),
            None => error.ssl_error().is_none(),
        };
        peer.refusal(hung_up, error)
    })?;
    peer.check_protocol(stream.ssl().selected_alpn_protocol())?;
    let certificate = Certificate::of(stream.ssl()).map_err(set_up_failed)?;
    let certificate = certificate.ok_or_else(|| peer.distrusted("it shows none"))?;
    Ok((Stream(stream), certificate))
}

/// Does what is done once per process and needs no connection yet.
pub(in crate::postgres) fn make_ready() {
    // Who needs it finds out why it cannot be had.
    let _ = context();
}

/// Does what is done once per process and needs no certificate yet: for the first key that it
/// reads, OpenSSL collects all that read keys of any kind.
fn expect_certificate() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Who needs it finds out why it cannot be had.
        let _ = PKey::public_key_from_der(&ANY_KEY);
    });
}

fn context() -> Result<&'static SslContext, ErrorStack> {
    static CONTEXT: OnceLock<SslContext> = OnceLock::new();
    if let Some(context) = CONTEXT.get() {
        return Ok(context);
    }
    let made = new_context()?;
    Ok(CONTEXT.get_or_init(|| made))
}

fn ssl(peer: Peer<'_>) -> Result<Ssl, ErrorStack> {
    let mut ssl = Ssl::new(context()?)?;
    if let Some(name) = peer.name_indication() {
        ssl.set_hostname(name)?;
    }
    if peer.direct {
        let mut protocols = vec![POSTGRESQL.len() as u8];
        protocols.extend_from_slice(POSTGRESQL);
        ssl.set_alpn_protos(&protocols)?;
    }
    Ok(ssl)
}

fn new_context() -> Result<SslContext, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    // Heroku takes nothing older (devcenter.heroku.com, Connecting to
    // Heroku Postgres, 2026-04-21); the library might take 1.0.
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_groups_list("P-256:X25519:P-384:P-521")?;
    builder.set_options(SslOptions::NO_COMPRESSION);
    // One read for what has come, instead of two for each record of it.
    builder.set_read_ahead(true);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_mode(
        SslMode::AUTO_RETRY | SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER,
    );
    // Where it has to verify, the connection says so; else it is judged afterwards, if
    // nothing else proves who the server is, and nothing is sent before.
    builder.set_verify(SslVerifyMode::NONE);
    Ok(builder.build())
}

impl PublicKey {
    /// The same to write down. Few need it, and for each process the first takes OpenSSL
    /// half as long as all the rest of a handshake.
    pub(in crate::postgres) fn pin(&self) -> Option<ServerPin> {
        let der = self.0.public_key_to_der().ok()?;
        Some(ServerPin::of_key(&der))
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.public_eq(&other.0)
    }
}

impl Certificate {
    fn of(ssl: &SslRef) -> Result<Option<Self>, ErrorStack> {
        let Some(own) = ssl.peer_certificate() else {
            return Ok(None);
        };
        let mut chain = Stack::new()?;
        for link in ssl.peer_cert_chain().into_iter().flatten() {
            chain.push(link.to_owned())?;
        }
        Ok(Some(Self { own, chain }))
    }

    /// The hash of the certificate that SCRAM binds to (`tls-server-end-point`,
    /// RFC 5929). None is defined for some certificates, such as Ed25519's.
    pub(in crate::postgres) fn end_point(&self) -> Option<Vec<u8>> {
        let signed_by = self.own.signature_algorithm().object().nid();
        let digest = match signed_by.signature_algorithms()?.digest {
            Nid::MD5 | Nid::SHA1 => MessageDigest::sha256(),
            digest => MessageDigest::from_nid(digest)?,
        };
        Some(self.own.digest(digest).ok()?.to_vec())
    }

    /// The server's public key.
    pub(in crate::postgres) fn key(&self) -> Option<PublicKey> {
        self.own.public_key().ok().map(PublicKey)
    }

    /// Whether it leads to one of the anchors. Elsewhere this may be `None`: it
    /// cannot be told any more.
    pub(in crate::postgres) fn judge(
        &self,
        server: &str,
        anchors: Anchors<'_>,
    ) -> Option<Result<(), Error>> {
        Some(self.verify(server, anchors))
    }

    fn verify(&self, server: &str, anchors: Anchors<'_>) -> Result<(), Error> {
        let store = store(anchors)?;
        let verified = X509StoreContext::new().and_then(|mut context| {
            context.init(&store, &self.own, &self.chain, |context| {
                context.verify_cert()?;
                Ok(context.error())
            })
        });
        match verified.map_err(set_up_failed)? {
            X509VerifyResult::OK => Ok(()),
            reason => Err(Error::with_source(
                ErrorKind::ServerNotAuthenticated,
                format!("the certificate of {server} does not verify"),
                reason.error_string(),
            )),
        }
    }
}

/// A store that takes a server's certificate for the name, if it leads to one of the anchors.
fn store(anchors: Anchors<'_>) -> Result<X509Store, Error> {
    let given = anchors.authority.certificates(X509::stack_from_pem)?;
    let build = || -> Result<X509Store, ErrorStack> {
        let mut store = X509StoreBuilder::new()?;
        store.set_param(&*wanted(anchors.host)?)?;
        for root in given {
            store.add_cert(root)?;
        }
        if anchors.authority == Authority::System {
            add_system(&mut store)?;
        }
        Ok(store.build())
    };
    build().map_err(set_up_failed)
}

fn wanted(host: Option<&str>) -> Result<X509VerifyParam, ErrorStack> {
    let mut wanted = X509VerifyParam::new()?;
    wanted.set_purpose(X509PurposeId::SSL_SERVER)?;
    wanted.set_auth_level(AUTHENTICATION_LEVEL);
    match host.map(|host| (host, host.parse())) {
        None => {}
        Some((_, Ok(address))) => wanted.set_ip(address)?,
        Some((name, Err(_))) => {
            wanted.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
            wanted.set_host(name)?;
        }
    }
    Ok(wanted)
}

/// The system's roots: its folders of them, if they are made for OpenSSL, which then
/// reads the one that is wanted; else its file, all of which is read. What the
/// environment names in `SSL_CERT_FILE` and `SSL_CERT_DIR` is taken in any case.
fn add_system(store: &mut X509StoreBuilder) -> Result<(), ErrorStack> {
    let found = openssl_probe::probe();
    let folders: Vec<_> = found
        .cert_dir
        .iter()
        .filter(|folder| is_hashed(folder))
        .filter_map(|folder| folder.to_str())
        .collect();
    let needs_file = folders.is_empty() || openssl_probe::has_ssl_cert_env_vars();
    let lookup = store.add_lookup(X509Lookup::hash_dir())?;
    for folder in folders {
        lookup.add_dir(folder, SslFiletype::PEM)?;
    }
    if let Some(file) = found.cert_file.filter(|_| needs_file) {
        let lookup = store.add_lookup(X509Lookup::file())?;
        lookup.load_cert_file(file, SslFiletype::PEM)?;
    }
    Ok(())
}

/// Whether a folder's certificates are named by the hash of their subject, as
/// `openssl rehash` names them: `5ad8a5d6.0`.
fn is_hashed(folder: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.any(|entry| {
        let Ok(name) = entry.map(|entry| entry.file_name()) else {
            return false;
        };
        let name = name.as_encoded_bytes();
        name.len() == 10 && name.ends_with(b".0") && name[..8].iter().all(u8::is_ascii_hexdigit)
    })
}

/// A key of P-256 that stands for others: the generator (SEC 2, section 2.4.2).
pub(in crate::postgres) const ANY_KEY: [u8; 91] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1,
    0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d,
    0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe,
    0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b,
    0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

/// 112 bits: no SHA-1, no RSA below 2,048 bits (openssl.org, SSL_CTX_set_security_level).
const AUTHENTICATION_LEVEL: i32 = 2;

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
