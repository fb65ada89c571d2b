//! TLS policies in a function, from the config var to the response.

use std::net::{Ipv4Addr, SocketAddr};

use openssl::x509::X509;
use stagelink_tests::{
    Auth, Authority, HerokuFixture, Identity, Mitm, MitmBehavior, OwnServer, server,
};

use super::{roots, verify, with};

/// Returns the status of the health check for a database URL with these parameters.
async fn status(fixture: &HerokuFixture, parameters: &str) -> u16 {
    fixture.set_url(&format!("{}?{parameters}", fixture.database.url()));
    fixture.get("health").await.status.as_u16()
}

#[tokio::test]
async fn self_signed_server_is_trusted_by_channel_binding() {
    let fixture = HerokuFixture::new().await;
    for parameters in ["", "sslmode=require", "channel_binding=require"] {
        let status = status(&fixture, parameters).await;
        assert_eq!(status, 200, "{parameters}: {}", fixture.log());
    }
}

#[tokio::test]
async fn self_signed_server_is_refused_by_a_verifying_policy() {
    let fixture = HerokuFixture::new().await;
    for parameters in [
        "sslmode=verify-full",
        "sslmode=verify-ca",
        "sslrootcert=system",
    ] {
        let status = status(&fixture, parameters).await;
        assert_eq!(status, 500, "{parameters}: {}", fixture.log());
    }
    assert!(fixture.log().contains("TLS handshake"), "{}", fixture.log());
}

#[tokio::test]
async fn given_root_accepts_its_server_and_a_missing_file_accepts_none() {
    let fixture = HerokuFixture::new().await;
    let pem = server()
        .await
        .certificate_pem()
        .expect("a certificate of its own");
    let file = roots(pem);
    let parameters = verify("verify-full", file.path());
    let log = || fixture.log();
    assert_eq!(status(&fixture, &parameters).await, 200, "{}", log());
    file.close().expect("it is removed");
    assert_eq!(status(&fixture, &parameters).await, 500, "{}", log());
    assert!(log().contains("could not read the root certificates"));
}

#[tokio::test]
async fn man_in_the_middle_is_refused_and_learns_no_password() {
    let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, server().await.port()));
    let mitm = Mitm::start(upstream, &Identity::self_signed(), MitmBehavior::Relay).await;
    let fixture = HerokuFixture::new().await;
    fixture.set_url(&mitm.url(&fixture.database.url()));
    assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
    assert!(
        fixture.log().contains("possible man-in-the-middle"),
        "{}",
        fixture.log()
    );
    let capture = mitm.capture();
    assert!(capture.connections() > 0, "the handshake succeeds");
    assert!(!capture.has(stagelink_tests::CANARY));
}

#[tokio::test]
async fn systems_roots_are_read_from_a_file_or_from_a_folder_by_their_hash() {
    let ours = Authority::new("ours");
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let mut fixture = HerokuFixture::new().await;
    fixture.set_url(&with(&url, "sslmode=verify-full"));
    assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());

    let file = roots(&ours.pem());
    fixture.set("SSL_CERT_FILE", &file.path().display().to_string());
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());

    let folder = tempfile::tempdir().expect("a folder");
    let root = X509::from_pem(ours.pem().as_bytes()).expect("a certificate");
    let name = format!("{:08x}.0", root.subject_name_hash());
    std::fs::write(folder.path().join(name), ours.pem()).expect("a file");
    fixture.variables.remove("SSL_CERT_FILE");
    fixture.set("SSL_CERT_DIR", &folder.path().display().to_string());
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
}
