//! Policies in a function, from the config var to the answer.

use std::net::{Ipv4Addr, SocketAddr};

use openssl::x509::X509;
use stagelink_tests::{Auth, Authority, Identity, Middle, Mitm, OwnServer, Scene, server};

use super::{roots, verify, with};

/// The status of the health check for a database URL with these parameters.
async fn status(scene: &Scene, parameters: &str) -> u16 {
    scene.set_url(&format!("{}?{parameters}", scene.database.url()));
    scene.get("health").await.status.as_u16()
}

#[tokio::test]
async fn self_signed_server_is_trusted_by_channel_binding() {
    let scene = Scene::new().await;
    for parameters in ["", "sslmode=require", "channel_binding=require"] {
        let status = status(&scene, parameters).await;
        assert_eq!(status, 200, "{parameters}: {}", scene.log());
    }
}

#[tokio::test]
async fn self_signed_server_is_refused_where_its_certificate_has_to_verify() {
    let scene = Scene::new().await;
    for parameters in [
        "sslmode=verify-full",
        "sslmode=verify-ca",
        "sslrootcert=system",
    ] {
        let status = status(&scene, parameters).await;
        assert_eq!(status, 500, "{parameters}: {}", scene.log());
    }
    assert!(scene.log().contains("TLS handshake"), "{}", scene.log());
}

#[tokio::test]
async fn given_root_lets_its_server_in_and_a_missing_file_nobody() {
    let scene = Scene::new().await;
    let pem = server()
        .await
        .certificate_pem()
        .expect("a certificate of its own");
    let file = roots(pem);
    let parameters = verify("verify-full", file.path());
    let log = || scene.log();
    assert_eq!(status(&scene, &parameters).await, 200, "{}", log());
    file.close().expect("it is removed");
    assert_eq!(status(&scene, &parameters).await, 500, "{}", log());
    assert!(log().contains("could not read the root certificates"));
}

#[tokio::test]
async fn man_in_the_middle_is_refused_and_learns_no_password() {
    let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, server().await.port()));
    let mitm = Mitm::start(upstream, &Identity::self_signed(), Middle::Relays).await;
    let scene = Scene::new().await;
    scene.set_url(&mitm.url(&scene.database.url()));
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
    assert!(
        scene.log().contains("possible man-in-the-middle"),
        "{}",
        scene.log()
    );
    let heard = mitm.heard();
    assert!(heard.connections() > 0, "he opened the encryption");
    assert!(!heard.has(stagelink_tests::CANARY));
}

#[tokio::test]
async fn systems_roots_are_read_from_a_file_or_from_a_folder_by_their_hash() {
    let ours = Authority::new("ours");
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let mut scene = Scene::new().await;
    scene.set_url(&with(&url, "sslmode=verify-full"));
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());

    let file = roots(&ours.pem());
    scene.set("SSL_CERT_FILE", &file.path().display().to_string());
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());

    let folder = tempfile::tempdir().expect("a folder");
    let root = X509::from_pem(ours.pem().as_bytes()).expect("a certificate");
    let name = format!("{:08x}.0", root.subject_name_hash());
    std::fs::write(folder.path().join(name), ours.pem()).expect("a file");
    scene.variables.remove("SSL_CERT_FILE");
    scene.set("SSL_CERT_DIR", &folder.path().display().to_string());
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
}
