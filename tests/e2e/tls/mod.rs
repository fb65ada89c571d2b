//! How a server proves that it is the right one.

use std::net::{Ipv4Addr, SocketAddr};

use stagelink_tests::{Mitm, Scene, Stub, StubServer, server};

/// The status of the health check for a database URL with this query.
async fn status(scene: &Scene, query: &str) -> u16 {
    scene.set_url(&format!("{}?{query}", scene.database.url()));
    scene.get("health").await.status.as_u16()
}

#[tokio::test]
async fn self_signed_server_is_trusted_by_channel_binding() {
    let scene = Scene::new().await;
    for query in ["", "sslmode=require", "channel_binding=require"] {
        assert_eq!(status(&scene, query).await, 200, "{query}: {}", scene.log());
    }
}

#[tokio::test]
async fn self_signed_server_is_refused_where_its_certificate_has_to_verify() {
    let scene = Scene::new().await;
    for query in [
        "sslmode=verify-full",
        "sslmode=verify-ca",
        "sslrootcert=system",
    ] {
        assert_eq!(status(&scene, query).await, 500, "{query}: {}", scene.log());
    }
    assert!(
        scene.log().contains("does not verify: self-signed"),
        "{}",
        scene.log()
    );
}

#[tokio::test]
async fn given_root_lets_its_server_in_and_no_other() {
    let scene = Scene::new().await;
    let pem = server()
        .await
        .certificate_pem()
        .expect("a certificate of its own");
    let right = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(right.path(), pem).expect("a file");
    let wrong = StubServer::start(Stub::Trust).await.certificate();
    let stub = StubServer::start(Stub::Trust).await;
    for mode in ["verify-full", "verify-ca"] {
        let query =
            |path: &std::path::Path| format!("sslmode={mode}&sslrootcert={}", path.display());
        assert_eq!(
            status(&scene, &query(right.path())).await,
            200,
            "{mode}: {}",
            scene.log()
        );
        assert_eq!(
            status(&scene, &query(&stub.certificate())).await,
            500,
            "{mode}"
        );
        assert_eq!(
            status(&scene, &query(&wrong)).await,
            500,
            "{mode}: the file is gone"
        );
    }
}

#[tokio::test]
async fn certificate_for_another_name_fails_full_verification_alone() {
    let mut scene = Scene::new().await;
    scene.set("STAGELINK_CONNECT_TIMEOUT_MS", "300");
    // The stub's certificate is for localhost. It goes no further than its offer
    // of SCRAM, so a time-out means that the certificate was good enough.
    let stub = StubServer::start(Stub::ScramAlone).await;
    for (host, mode, status) in [
        ("localhost", "verify-full", 504),
        ("127.0.0.1", "verify-full", 500),
        ("127.0.0.1", "verify-ca", 504),
    ] {
        let root = stub.certificate();
        let url = stub.url(&format!("sslmode={mode}&sslrootcert={}", root.display()));
        scene.set_url(&url.replace("@localhost:", &format!("@{host}:")));
        let answer = scene.get("health").await;
        assert_eq!(answer.status, status, "{mode} {host}: {}", scene.log());
    }
    assert!(
        scene.log().contains("does not verify: IP address mismatch"),
        "{}",
        scene.log()
    );
}

#[tokio::test]
async fn required_channel_binding_holds_beside_a_verified_certificate() {
    let scene = Scene::new().await;
    let stub = StubServer::start(Stub::ScramAlone).await;
    let query = format!(
        "sslmode=verify-full&channel_binding=require&sslrootcert={}",
        stub.certificate().display()
    );
    scene.set_url(&stub.url(&query));
    assert_eq!(scene.get("health").await.status, 500);
    assert!(
        scene
            .log()
            .contains("offers no SCRAM channel binding, which the URL requires"),
        "{}",
        scene.log()
    );
}

#[tokio::test]
async fn man_in_the_middle_is_refused_and_learns_no_password() {
    let port = server().await.port();
    let mitm = Mitm::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    let scene = Scene::new().await;
    let through = format!(":{}/", mitm.port());
    scene.set_url(&scene.database.url().replace(&format!(":{port}/"), &through));
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
    assert!(
        scene
            .log()
            .contains("somebody between here and the server opened the encryption"),
        "{}",
        scene.log()
    );
}
