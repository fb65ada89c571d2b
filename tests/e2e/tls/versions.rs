//! Versions and signature algorithms of TLS.

use std::pin::Pin;

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use stagelink_tests::{Auth, Identity, Mitm, MitmBehavior, OwnServer, StubBehavior, StubServer};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::{accepted, open, refused, roots, verify, with};

#[tokio::test]
async fn server_with_an_outdated_tls_is_refused() {
    for version in [SslVersion::TLS1, SslVersion::TLS1_1] {
        let stub = StubServer::start(StubBehavior::MaxTlsVersion(version)).await;
        let error = open(&stub.url(""), &[]).await.expect_err("it is outdated");
        let report = error.report().to_string();
        assert!(report.contains("the TLS handshake with"), "{report}");
        assert!(report.contains("ssl_max_protocol_version"), "{report}");
        assert_eq!(stub.capture().connections(), 0);
        // The server is usable by a client that accepts old versions.
        let tcp = TcpStream::connect(stub.address())
            .await
            .expect("it listens");
        let mut client = SslConnector::builder(SslMethod::tls_client()).expect("TLS");
        client.set_verify(SslVerifyMode::NONE);
        client
            .set_cipher_list("ALL:@SECLEVEL=0")
            .and_then(|()| client.set_min_proto_version(Some(version)))
            .expect("old TLS");
        let client = client.build().configure().expect("TLS");
        let client = client.into_ssl("localhost").expect("TLS");
        let mut tls = SslStream::new(client, tcp).expect("TLS");
        Pin::new(&mut tls).connect().await.expect("a handshake");
        assert_eq!(tls.ssl().version2(), Some(version));
    }
}

#[tokio::test]
async fn server_with_tls_1_2_is_accepted_by_channel_binding() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    server.set("ssl_max_protocol_version", "TLSv1.2").await;
    let url = server.database(Auth::Scram).await.url();
    let db = accepted("TLS 1.2", &url, &[]).await;
    let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = db.query_typed_one(sql, &[]).await.expect("a row");
    assert_eq!(row.get::<_, &str>(0), "TLSv1.2");
}

#[tokio::test]
async fn certificate_without_a_hash_binds_no_channel_and_can_be_verified() {
    let shown = Identity::self_signed_without_hash();
    let file = roots(&shown.certificate_pem);
    let mut server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    // Postgres offers channel binding for this certificate all the same, and fails if the client
    // uses it.
    server.set_identity(&shown).await;
    for parameters in ["", "channel_binding=require"] {
        let error = refused(parameters, &with(&url, parameters), &[]).await;
        let report = error.to_string();
        assert!(report.contains("cannot bind to"), "{report}");
        assert!(!report.contains("offers no"), "{report}");
    }
    let verified = with(&url, &verify("verify-full", file.path()));
    accepted("a certificate that verifies", &verified, &[]).await;
    let pin = shown.pin();
    accepted("a pinned key", &url, &[("STAGELINK_SERVER_PIN", &pin)]).await;

    let mitm = Mitm::start(server.address(), &shown, MitmBehavior::Relay).await;
    refused("a relay", &mitm.url(&url), &[]).await;
    assert!(!mitm.capture().has_sensitive_data());
}
