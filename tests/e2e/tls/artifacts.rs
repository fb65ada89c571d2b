//! TLS in artifacts, which are built with other options than the tests: they accept and refuse the
//! same servers, for the same reasons.

use openssl::ssl::SslVersion;
use stagelink_tests::{
    Auth, Authority, HerokuFixture, Identity, OwnServer, StubBehavior, StubServer, built_artifacts,
};

use super::{roots, verify, with};

/// Returns the status of an artifact's health check for a database URL.
async fn status(fixture: &HerokuFixture, url: &str) -> u16 {
    fixture.set_url(url);
    let health = fixture.start_artifact(&built_artifacts().await["health"]);
    let answer = fixture.ask(&health, "GET", "/api/health", None).await;
    health.shutdown().await;
    answer.status.as_u16()
}

#[tokio::test]
async fn artifact_verifies_a_chain_of_certificates() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Md5).await.url();
    let file = roots(&ours.pem());
    let verified = with(&url, &verify("verify-full", file.path()));
    let fixture = HerokuFixture::new().await;
    assert_eq!(status(&fixture, &verified).await, 200, "{}", fixture.log());
    for (shown, identity, reason) in [
        (
            "another host's",
            ours.certify_another_host(),
            "address mismatch",
        ),
        ("an old one", ours.certify_expired(), "has expired"),
        (
            "an unknown issuer's",
            theirs.certify(),
            "unable to get local issuer",
        ),
        ("a self-signed one", Identity::self_signed(), "self-signed"),
    ] {
        server.set_identity(&identity).await;
        assert_eq!(status(&fixture, &verified).await, 500, "{shown}");
        assert!(fixture.log().contains(reason), "{shown}: {}", fixture.log());
    }
}

#[tokio::test]
async fn artifact_binds_to_any_certificate_and_reports_tls_errors() {
    let fixture = HerokuFixture::new().await;
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    for newest in ["TLSv1.3", "TLSv1.2"] {
        server.set("ssl_max_protocol_version", newest).await;
        assert_eq!(status(&fixture, &url).await, 200, "{}", fixture.log());
    }
    let stub = StubServer::start(StubBehavior::MaxTlsVersion(SslVersion::TLS1_1)).await;
    assert_ne!(status(&fixture, &stub.url("")).await, 200);
    let log = fixture.log();
    assert!(log.contains("ProtocolVersion"), "{log}");
}
