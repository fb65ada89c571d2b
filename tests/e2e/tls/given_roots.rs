//! `STAGELINK_ROOT_CERTIFICATES`: trusted roots in place of the system's.

use stagelink::ErrorKind;
use stagelink_tests::{Auth, Authority, CANARY, Identity, Middle, Mitm, OwnServer};

use super::{Unproven, let_in, network, open, refused, with};

const ROOTS: &str = "STAGELINK_ROOT_CERTIFICATES";

#[tokio::test]
async fn certificate_that_verifies_is_proof_enough_on_the_same_connection() {
    let ours = Authority::new("ours");
    let (pem, other) = (ours.pem(), Authority::new("theirs").pem());
    let unproven = Unproven::start(&ours.certify()).await;
    for (login, url) in &unproven.ways {
        for roots in [&pem, &format!("{other}{pem}")] {
            let_in(login, url, &[(ROOTS, roots)]).await;
        }
        let full = with(url, "sslmode=verify-full");
        let_in(login, &full, &[(ROOTS, &pem)]).await;
        refused(login, url, &[(ROOTS, &other)]).await;
        refused(
            login,
            &with(url, "channel_binding=require"),
            &[(ROOTS, &pem)],
        )
        .await;

        let (proxy, url) = network(url).await;
        let variables = [(ROOTS, pem.as_str()), ("STAGELINK_EARLY_SCRAM", "false")];
        let_in(login, &url, &variables).await;
        assert_eq!(proxy.connections(), 1, "{login}");
    }
}

#[tokio::test]
async fn certificate_that_does_not_verify_is_refused_without_another_proof() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Md5).await.url();
    let bound = server.database(Auth::Scram).await.url();
    let pem = ours.pem();
    let variables = [(ROOTS, pem.as_str())];
    let_in("the right one", &url, &variables).await;
    for (shown, identity) in [
        ("another host's", ours.certify_another_host()),
        ("an old one", ours.certify_long_ago()),
        ("an unknown issuer's", theirs.certify()),
        ("a self-signed one", Identity::self_signed()),
    ] {
        server.show(&identity).await;
        refused(shown, &url, &variables).await;
        let_in(shown, &bound, &variables).await;
        refused(shown, &with(&bound, "sslmode=verify-full"), &variables).await;
    }
}

#[tokio::test]
async fn downgrade_behind_a_certificate_that_verifies_is_noticed() {
    let ours = Authority::new("ours");
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let mitm = Mitm::start(server.address(), server.identity(), Middle::StripsPlus).await;
    let error = open(&mitm.url(&url), &[(ROOTS, &ours.pem())]).await;
    let told = error.expect_err("a downgrade").report().to_string();
    assert!(told.contains("negotiation error"), "{told}");
    assert!(mitm.heard().has("y,,n="));
    assert!(!mitm.heard().has(CANARY));
}

#[tokio::test]
async fn roots_that_cannot_be_read_are_told() {
    let pem = Authority::new("ours").pem();
    let cut = &pem[..pem.len() / 2];
    for roots in ["/etc/roots.pem", cut] {
        let url = "postgres://u:p@127.0.0.1:1/d";
        let error = open(url, &[(ROOTS, roots)]).await.expect_err("no roots");
        assert_eq!(error.kind(), ErrorKind::Settings, "{roots}");
        assert!(error.to_string().contains(ROOTS), "{error}");
    }
}
