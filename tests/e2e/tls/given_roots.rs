//! `STAGELINK_ROOT_CERTIFICATES`: trusted roots in place of the system's.

use stagelink::ErrorKind;
use stagelink_tests::{Auth, Authority, CANARY, Identity, MitmBehavior, OwnServer};

use super::{UnauthenticatedServer, accepted, network, open, refused, verifies_afterwards, with};

const ROOTS: &str = "STAGELINK_ROOT_CERTIFICATES";

#[tokio::test]
async fn verified_certificate_suffices_on_the_same_connection() {
    let ours = Authority::new("ours");
    let (pem, other) = (ours.pem(), Authority::new("theirs").pem());
    let unauthenticated = UnauthenticatedServer::start(&ours.certify()).await;
    for (login, url) in &unauthenticated.logins {
        for roots in [&pem, &format!("{other}{pem}")] {
            accepted(login, url, &[(ROOTS, roots)]).await;
        }
        let full = with(url, "sslmode=verify-full");
        accepted(login, &full, &[(ROOTS, &pem)]).await;
        refused(login, url, &[(ROOTS, &other)]).await;
        refused(
            login,
            &with(url, "channel_binding=require"),
            &[(ROOTS, &pem)],
        )
        .await;

        let (proxy, url) = network(url).await;
        let variables = [(ROOTS, pem.as_str()), ("STAGELINK_EARLY_SCRAM", "false")];
        accepted(login, &url, &variables).await;
        let connections = if verifies_afterwards() { 1 } else { 2 };
        assert_eq!(proxy.connections(), connections, "{login}");
    }
}

#[tokio::test]
async fn unverified_certificate_is_refused_without_other_authentication() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Md5).await.url();
    let bound = server.database(Auth::Scram).await.url();
    let pem = ours.pem();
    let variables = [(ROOTS, pem.as_str())];
    accepted("the right one", &url, &variables).await;
    for (shown, identity) in [
        ("another host's", ours.certify_another_host()),
        ("an old one", ours.certify_expired()),
        ("an unknown issuer's", theirs.certify()),
        ("a self-signed one", Identity::self_signed()),
    ] {
        server.set_identity(&identity).await;
        refused(shown, &url, &variables).await;
        accepted(shown, &bound, &variables).await;
        refused(shown, &with(&bound, "sslmode=verify-full"), &variables).await;
    }
}

#[tokio::test]
async fn downgrade_behind_a_verified_certificate_is_detected() {
    let ours = Authority::new("ours");
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let mitm = server.mitm(MitmBehavior::StripScramPlus).await;
    let error = open(&mitm.url(&url), &[(ROOTS, &ours.pem())]).await;
    let report = error.expect_err("a downgrade").report().to_string();
    assert!(report.contains("negotiation error"), "{report}");
    assert!(mitm.capture().has("y,,n="));
    assert!(!mitm.capture().has(CANARY));
}

#[tokio::test]
async fn unreadable_roots_are_reported() {
    let pem = Authority::new("ours").pem();
    let cut = &pem[..pem.len() / 2];
    for roots in ["/etc/roots.pem", cut] {
        let url = "postgres://u:p@127.0.0.1:1/d";
        let error = open(url, &[(ROOTS, roots)]).await.expect_err("no roots");
        assert_eq!(error.kind(), ErrorKind::Settings, "{roots}");
        assert!(error.to_string().contains(ROOTS), "{error}");
    }
}
