//! Tests of both TLS libraries against the same servers.

use std::net::Ipv4Addr;
use std::pin::Pin;

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{AlpnError, NameType, Ssl, SslContext, SslMethod, SslVersion};
use openssl::x509::X509;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_openssl::SslStream;

use super::*;
use crate::config::{ServerPin, TlsLibrary};
use crate::credentials::DatabaseUrl;
use crate::postgres::connect::cancel::CancelToken;
use crate::postgres::connect::startup::CancelKey;

#[derive(Clone, Copy, PartialEq)]
enum Server {
    /// Waits for an SSLRequest.
    Usual,
    /// Takes direct TLS with the ALPN protocol of Postgres.
    Direct,
    /// Takes direct TLS without ALPN.
    WithoutProtocol,
    HangsUp,
    /// Speaks TLS 1.1 at most.
    Old,
}

/// A server's certificate and key.
struct Identity {
    certificate: X509,
    key: PKey<Private>,
}

impl Identity {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            certificate: X509::from_der(cert.der()).unwrap(),
            key: PKey::private_key_from_der(&signing_key.serialize_der()).unwrap(),
        }
    }

    fn p521() -> Self {
        let group = EcGroup::from_curve_name(Nid::SECP521R1).unwrap();
        Self::of_key(PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap())
    }

    /// A key for RSA-PSS signatures alone, which the crate `openssl` does not generate.
    fn rsa_pss() -> Self {
        let command = "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048";
        let mut words = command.split(' ');
        let made = std::process::Command::new(words.next().unwrap())
            .args(words)
            .output()
            .unwrap();
        Self::of_key(PKey::private_key_from_pem(&made.stdout).unwrap())
    }

    fn of_key(key: PKey<Private>) -> Self {
        let mut builder = X509::builder().unwrap();
        builder.set_pubkey(&key).unwrap();
        let from = Asn1Time::days_from_now(0).unwrap();
        builder.set_not_before(&from).unwrap();
        let until = Asn1Time::days_from_now(1).unwrap();
        builder.set_not_after(&until).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let certificate = builder.build();
        Self { certificate, key }
    }
}

/// Starts a server. Returns its port and its certificate.
async fn serve(server: Server) -> (u16, String) {
    let identity = Identity::new();
    let pem = identity.certificate.to_pem().unwrap();
    let port = serve_identity(server, &identity).await;
    (port, String::from_utf8(pem).unwrap())
}

async fn serve_identity(server: Server, identity: &Identity) -> u16 {
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_certificate(&identity.certificate).unwrap();
    context.set_private_key(&identity.key).unwrap();
    match server {
        Server::Direct => context.set_alpn_select_callback(|_, offered| {
            openssl::ssl::select_next_proto(b"\x0apostgresql", offered).ok_or(AlpnError::NOACK)
        }),
        Server::Old => {
            context.set_security_level(0);
            context
                .set_min_proto_version(Some(SslVersion::TLS1))
                .unwrap();
            context
                .set_max_proto_version(Some(SslVersion::TLS1_1))
                .unwrap();
        }
        _ => {}
    }
    let context = context.build();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            match server {
                Server::HangsUp => {
                    tcp.read_u8().await.ok();
                    continue;
                }
                Server::Usual | Server::Old => {
                    let mut request = [0; SSL_REQUEST.len()];
                    tcp.read_exact(&mut request).await.unwrap();
                    tcp.write_all(b"S").await.unwrap();
                }
                _ => {}
            }
            let mut stream = SslStream::new(Ssl::new(&context).unwrap(), tcp).unwrap();
            if Pin::new(&mut stream).accept().await.is_ok() {
                // Until the client leaves.
                stream.read_u8().await.ok();
            }
        }
    });
    port
}

/// Starts a server that takes TLS both ways, and reports the server name of each handshake.
async fn serve_names() -> (u16, UnboundedReceiver<Option<String>>) {
    let Identity { certificate, key } = Identity::new();
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_certificate(&certificate).unwrap();
    context.set_private_key(&key).unwrap();
    context.set_alpn_select_callback(|_, offered| {
        openssl::ssl::select_next_proto(b"\x0apostgresql", offered).ok_or(AlpnError::NOACK)
    });
    let context = context.build();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (names, received) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut first = [0];
            tcp.peek(&mut first).await.unwrap();
            if first[0] == 0 {
                let mut request = [0; SSL_REQUEST.len()];
                tcp.read_exact(&mut request).await.unwrap();
                tcp.write_all(b"S").await.unwrap();
            }
            let mut stream = SslStream::new(Ssl::new(&context).unwrap(), tcp).unwrap();
            Pin::new(&mut stream).accept().await.unwrap();
            let name = stream.ssl().servername(NameType::HOST_NAME);
            names.send(name.map(str::to_owned)).unwrap();
        }
    });
    (port, received)
}

#[tokio::test]
async fn server_name_is_always_sent_and_an_address_never() {
    let (port, mut names) = serve_names().await;
    for (host, expected) in [
        ("localhost", Some("localhost")),
        ("db.example.com", Some("db.example.com")),
        ("db.example.com.", Some("db.example.com")),
        ("ep-1-pooler.neon.tech", Some("ep-1-pooler.neon.tech")),
        ("127.0.0.1", None),
        ("::1", None),
        ("2001:db8::1", None),
    ] {
        for direct_tls in [false, true] {
            told(meet(port, host, direct_tls, None).await);
            for library in LIBRARIES {
                let name = names.recv().await.unwrap();
                assert_eq!(
                    name.as_deref(),
                    expected,
                    "{host}, {library:?}, {direct_tls}"
                );
            }
            // The request to cancel a statement, at the address of its session.
            let url = match host.contains(':') {
                true => format!("postgres://u:p@[{host}]:{port}/d?hostaddr=127.0.0.1"),
                false => format!("postgres://u:p@{host}:{port}/d?hostaddr=127.0.0.1"),
            };
            for library in LIBRARIES {
                let token = CancelToken {
                    url: DatabaseUrl::parse(&url, "a test").unwrap(),
                    server: "the server".to_owned(),
                    key: CancelKey::default(),
                    server_key: None,
                    direct_tls,
                    library,
                };
                // The server leaves after the handshake.
                token.cancel().await.ok();
                assert_eq!(names.recv().await.unwrap().as_deref(), expected, "{host}");
            }
        }
    }
}

/// The pin of the key, and the hash that SCRAM binds to.
type PeerIdentity = (Option<ServerPin>, Option<Vec<u8>>);

/// Performs a handshake with each library.
async fn meet(
    port: u16,
    host: &str,
    direct_tls: bool,
    anchors: Option<Anchors<'_>>,
) -> [Result<PeerIdentity, HandshakeError>; 2] {
    let [rustls, native] =
        LIBRARIES.map(|library| meet_with(library, port, host, direct_tls, anchors));
    [rustls.await, native.await]
}

async fn meet_with(
    library: TlsLibrary,
    port: u16,
    host: &str,
    direct_tls: bool,
    anchors: Option<Anchors<'_>>,
) -> Result<PeerIdentity, HandshakeError> {
    let peer = Peer {
        host,
        name: "the server",
        direct_tls,
        library,
    };
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    let (_, certificate) = handshake(tcp.await.unwrap(), peer, anchors).await?;
    let pin = certificate.key().map(PublicKey::pin);
    Ok((pin, certificate.end_point().map(<[u8]>::to_vec)))
}

const LIBRARIES: [TlsLibrary; 2] = [TlsLibrary::Rustls, TlsLibrary::Native];

fn told(results: [Result<PeerIdentity, HandshakeError>; 2]) -> [PeerIdentity; 2] {
    results.map(|result| match result {
        Ok(told) => told,
        Err(HandshakeError::NoDirectTls) => panic!("the server takes no direct TLS"),
        Err(HandshakeError::Failed(error)) => panic!("{}", error.report()),
    })
}

fn kinds(results: [Result<PeerIdentity, HandshakeError>; 2]) -> [Option<ErrorKind>; 2] {
    results.map(|result| match result {
        Ok(_) => panic!("the handshake succeeded"),
        Err(HandshakeError::NoDirectTls) => None,
        Err(HandshakeError::Failed(error)) => Some(error.kind()),
    })
}

#[tokio::test]
async fn both_libraries_see_the_same_server() {
    for (server, direct_tls) in [(Server::Usual, false), (Server::Direct, true)] {
        let (port, pem) = serve(server).await;
        let key = X509::from_pem(pem.as_bytes())
            .unwrap()
            .public_key()
            .unwrap();
        let pin = ServerPin::of_key(&key.public_key_to_der().unwrap());
        let [own, native] = told(meet(port, "localhost", direct_tls, None).await);
        assert_eq!(own, native);
        assert_eq!(own.0, Some(pin));
        assert_eq!(own.1.map(|hash| hash.len()), Some(32));
    }
}

#[tokio::test]
async fn certificate_has_to_lead_to_the_anchor_and_be_for_the_name() {
    let (port, pem) = serve(Server::Usual).await;
    let (_, other) = serve(Server::Usual).await;
    let anchors = |pem, host| {
        Some(Anchors {
            authority: Authority::Pem(pem),
            host,
        })
    };
    for (host, pem, named, lets_in) in [
        ("localhost", &pem, true, true),
        ("localhost.", &pem, true, true),
        ("localhost", &other, true, false),
        ("127.0.0.1", &pem, true, false),
        ("127.0.0.1", &pem, false, true),
        ("127.0.0.1", &other, false, false),
    ] {
        let anchors = anchors(pem, named.then_some(host));
        let results = meet(port, host, false, anchors).await;
        if lets_in {
            told(results);
        } else {
            assert_eq!(
                kinds(results),
                [Some(ErrorKind::ServerNotAuthenticated); 2],
                "{host}"
            );
        }
    }
    let system = Anchors {
        authority: Authority::System,
        host: Some("localhost"),
    };
    let results = meet(port, "localhost", false, Some(system)).await;
    assert_eq!(kinds(results), [Some(ErrorKind::ServerNotAuthenticated); 2]);
}

#[tokio::test]
async fn certificate_can_be_verified_after_the_handshake() {
    let (port, pem) = serve(Server::Usual).await;
    let peer = Peer {
        host: "localhost",
        name: "the server",
        direct_tls: false,
        library: TlsLibrary::Rustls,
    };
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap();
    let (_, certificate) = handshake(tcp, peer, None)
        .await
        .map_err(|_| "a handshake")
        .unwrap();
    for (host, right) in [("localhost", true), ("example.com", false)] {
        let anchors = Anchors {
            authority: Authority::Pem(&pem),
            host: Some(host),
        };
        let verified = |library| verify(&certificate, "the server", anchors, library);
        let judged = verified(TlsLibrary::Rustls).unwrap();
        assert_eq!(judged.is_ok(), right, "{host}");
        assert!(verified(TlsLibrary::Native).is_none());
    }
}

#[tokio::test]
async fn server_that_does_not_take_it_directly_is_told_apart() {
    for server in [Server::WithoutProtocol, Server::HangsUp] {
        let (port, _) = serve(server).await;
        assert_eq!(kinds(meet(port, "localhost", true, None).await), [None; 2]);
    }
}

#[tokio::test]
async fn tls_before_1_2_is_refused() {
    let (port, _) = serve(Server::Old).await;
    let kinds = kinds(meet(port, "localhost", false, None).await);
    assert_eq!(kinds, [Some(ErrorKind::ServerNotAuthenticated); 2]);
}

#[tokio::test]
async fn keys_that_rustls_does_not_support_are_refused_by_name_and_native_tls_takes_them() {
    for (kind, make) in [
        ("P-521", Identity::p521 as fn() -> Identity),
        ("RSA-PSS", Identity::rsa_pss),
    ] {
        let port = serve_identity(Server::Usual, &make()).await;
        let [rustls, native] = meet(port, "localhost", false, None).await;
        native.unwrap_or_else(|_| panic!("native-tls takes {kind}"));
        let Err(HandshakeError::Failed(error)) = rustls else {
            panic!("{kind}");
        };
        let report = error.report().to_string();
        assert!(report.contains(kind), "{report}");
        assert!(report.contains("STAGELINK_TLS_LIBRARY"), "{report}");
    }
}
