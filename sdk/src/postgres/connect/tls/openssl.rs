//! TLS by OpenSSL itself, the library that `native-tls` uses on Linux.
//!
//! The connector of `native-tls` always reads the system's roots, which costs more than the rest
//! of a function's start. And it cannot offer P-256 first: Postgres up to 17 answers any other
//! group with a HelloRetryRequest, a round trip more (`ssl_ecdh_curve` of postgresql.org/docs/17/runtime-config-connection.html).

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

use super::{
    Anchors, Authority, HandshakeError, POSTGRESQL, Peer, is_disconnect, setup_failed,
    without_final_dot,
};
use crate::config::ServerPin;
use crate::error::{Error, ErrorKind};

/// An encrypted connection. Without anchors the server is not authenticated yet.
pub(in crate::postgres) struct Stream(SslStream<TcpStream>);

/// The certificate that a server showed, and the chain that it sent along.
pub(in crate::postgres) struct Certificate {
    own: X509,
    chain: Stack<X509>,
}

/// A server's public key.
#[derive(Clone, Debug)]
pub(in crate::postgres) struct PublicKey(PKey<Public>);

/// Performs the handshake. With `anchors` it fails unless the certificate leads to one of them.
pub(in crate::postgres) async fn handshake(
    mut tcp: TcpStream,
    peer: Peer<'_>,
    anchors: Option<Anchors<'_>>,
) -> Result<(Stream, Certificate), HandshakeError> {
    let make = || {
        let mut ssl = ssl(peer).map_err(setup_failed)?;
        if let Some(anchors) = anchors {
            let store = store(anchors)?;
            ssl.set_verify_cert_store(store).map_err(setup_failed)?;
            ssl.set_verify(SslVerifyMode::PEER);
        }
        Ok(ssl)
    };
    let ssl = peer.request_encryption_and(&mut tcp, make).await?;
    let mut stream = SslStream::new(ssl, tcp).map_err(setup_failed)?;
    let connect = Pin::new(&mut stream).connect();
    // The second future runs while the first waits for the ServerHello.
    let (connected, ()) = join(connect, async { load_key_decoders() }).await;
    connected.map_err(|error| {
        let verified = stream.ssl().verify_result();
        if anchors.is_some() && verified != X509VerifyResult::OK {
            return peer.distrusted(verified.error_string()).into();
        }
        // OpenSSL reports the end of the stream without an error of its own.
        let disconnected = match error.io_error() {
            Some(error) => is_disconnect(error.kind()),
            None => error.ssl_error().is_none(),
        };
        peer.handshake_error(disconnected, error)
    })?;
    peer.check_protocol(stream.ssl().selected_alpn_protocol())?;
    let certificate = Certificate::of(stream.ssl()).map_err(setup_failed)?;
    let certificate =
        certificate.ok_or_else(|| peer.distrusted("the server shows no certificate"))?;
    Ok((Stream(stream), certificate))
}

/// Creates the context, which happens once per process and needs no connection.
pub(in crate::postgres) fn prepare() {
    // An error shows when the handshake needs the context.
    let _ = context();
}

/// Loads the decoders of public keys, which OpenSSL does once per process for the first key.
fn load_key_decoders() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error shows when the certificate is read.
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
    if peer.direct_tls {
        let mut protocols = vec![POSTGRESQL.len() as u8];
        protocols.extend_from_slice(POSTGRESQL);
        ssl.set_alpn_protos(&protocols)?;
    }
    Ok(ssl)
}

fn new_context() -> Result<SslContext, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    // Heroku accepts nothing older (devcenter.heroku.com, Connecting to
    // Heroku Postgres, 2026-04-21); OpenSSL may accept 1.0.
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_groups_list("P-256:X25519:P-384:P-521")?;
    builder.set_options(SslOptions::NO_COMPRESSION);
    // Reads all available bytes at once instead of twice per record.
    builder.set_read_ahead(true);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_mode(
        SslMode::AUTO_RETRY | SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER,
    );
    // A connection that has to verify turns this on. Otherwise the certificate is verified
    // afterwards, if nothing else authenticates the server; until then nothing is sent.
    builder.set_verify(SslVerifyMode::NONE);
    Ok(builder.build())
}

impl PublicKey {
    /// Returns the pin of the key. The first call of a process costs half of a handshake.
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

    /// A certificate without a chain, as a server may show it.
    #[cfg(test)]
    pub(in crate::postgres) fn of_der(der: &[u8]) -> Self {
        Self {
            own: X509::from_der(der).unwrap(),
            chain: Stack::new().unwrap(),
        }
    }

    /// Returns the hash of the certificate that SCRAM binds to (`tls-server-end-point`,
    /// RFC 5929). Some certificates, such as those signed with Ed25519, define none.
    pub(in crate::postgres) fn end_point(&self) -> Option<Vec<u8>> {
        let signed_by = self.own.signature_algorithm().object().nid();
        let digest = match signed_by.signature_algorithms()?.digest {
            Nid::MD5 | Nid::SHA1 => MessageDigest::sha256(),
            digest => MessageDigest::from_nid(digest)?,
        };
        Some(self.own.digest(digest).ok()?.to_vec())
    }

    /// Returns the server's public key.
    pub(in crate::postgres) fn key(&self) -> Option<PublicKey> {
        self.own.public_key().ok().map(PublicKey)
    }

    /// Verifies that the certificate leads to one of the anchors. Other TLS libraries return
    /// `None`: they cannot verify after the handshake.
    pub(in crate::postgres) fn verify(
        &self,
        server: &str,
        anchors: Anchors<'_>,
    ) -> Option<Result<(), Error>> {
        Some(self.verify_chain(server, anchors))
    }

    fn verify_chain(&self, server: &str, anchors: Anchors<'_>) -> Result<(), Error> {
        let store = store(anchors)?;
        let verified = X509StoreContext::new().and_then(|mut context| {
            context.init(&store, &self.own, &self.chain, |context| {
                context.verify_cert()?;
                Ok(context.error())
            })
        });
        match verified.map_err(setup_failed)? {
            X509VerifyResult::OK => Ok(()),
            reason => Err(Error::with_source(
                ErrorKind::ServerNotAuthenticated,
                format!("the certificate of {server} does not verify"),
                reason.error_string(),
            )),
        }
    }
}

/// Creates a store that accepts certificates for the host that lead to one of the anchors.
fn store(anchors: Anchors<'_>) -> Result<X509Store, Error> {
    let given = anchors.authority.certificates(X509::stack_from_pem)?;
    let build = || -> Result<X509Store, ErrorStack> {
        let mut store = X509StoreBuilder::new()?;
        store.set_param(&*verify_param(anchors.host)?)?;
        for root in given {
            store.add_cert(root)?;
        }
        if anchors.authority == Authority::System {
            add_system_roots(&mut store)?;
        }
        Ok(store.build())
    };
    build().map_err(setup_failed)
}

fn verify_param(host: Option<&str>) -> Result<X509VerifyParam, ErrorStack> {
    let mut param = X509VerifyParam::new()?;
    param.set_purpose(X509PurposeId::SSL_SERVER)?;
    param.set_auth_level(AUTHENTICATION_LEVEL);
    match host.map(without_final_dot).map(|host| (host, host.parse())) {
        None => {}
        Some((_, Ok(address))) => param.set_ip(address)?,
        Some((name, Err(_))) => {
            param.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
            param.set_host(name)?;
        }
    }
    Ok(param)
}

/// Adds the system's roots: its hashed folders, from which OpenSSL reads single certificates on
/// demand; else its bundle, which OpenSSL reads whole. `SSL_CERT_FILE` and `SSL_CERT_DIR` count in
/// any case.
fn add_system_roots(store: &mut X509StoreBuilder) -> Result<(), ErrorStack> {
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

/// Returns whether a folder's certificates are named by the hash of their subject, as
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

/// A P-256 public key as an example: the generator (SEC 2, section 2.4.2).
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
