//! TLS policies in a URL, and the servers that meet them.

use stagelink_tests::{Auth, Authority, CANARY, Identity, OwnServer, Stub, StubServer};

use super::{Unproven, let_in, refused, roots, verify, with};

/// Opens a database by a policy, and checks whether it is accepted.
async fn expect(is_let_in: bool, what: &str, url: &str, parameters: &str) {
    let (what, url) = (format!("{what}, {parameters}"), with(url, parameters));
    if is_let_in {
        let_in(&what, &url, &[]).await;
    } else {
        refused(&what, &url, &[]).await;
    }
}

#[tokio::test]
async fn certificate_counts_as_far_as_the_policy_asks() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let file = roots(&ours.pem());
    let mut server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    for (shown, identity, full, ca) in [
        ("the right one", ours.certify(), true, true),
        ("another host's", ours.certify_another_host(), false, true),
        ("an old one", ours.certify_long_ago(), false, false),
        ("an unknown issuer's", theirs.certify(), false, false),
        ("a self-signed one", Identity::self_signed(), false, false),
    ] {
        server.show(&identity).await;
        for parameters in ["", "sslmode=require", "channel_binding=require"] {
            expect(true, shown, &url, parameters).await;
        }
        for (mode, is_let_in) in [("verify-full", full), ("verify-ca", ca)] {
            let parameters = verify(mode, file.path());
            for binding in ["prefer", "disable", "require"] {
                let parameters = format!("{parameters}&channel_binding={binding}");
                expect(is_let_in, shown, &url, &parameters).await;
            }
        }
    }
}

#[tokio::test]
async fn server_that_proves_nothing_by_its_login_needs_a_certificate_that_verifies() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let unproven = Unproven::start(&ours.certify()).await;
    for (login, url) in &unproven.ways {
        for parameters in ["", "sslmode=require", "channel_binding=require"] {
            expect(false, login, url, parameters).await;
        }
        for mode in ["verify-full", "verify-ca"] {
            let parameters = verify(mode, file.path());
            expect(true, login, url, &parameters).await;
            let both = format!("{parameters}&channel_binding=require");
            expect(false, login, url, &both).await;
        }
    }
    assert!(!unproven.balancer.heard().has(CANARY));
}

#[tokio::test]
async fn name_that_the_certificate_is_not_for_is_told() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let stub = StubServer::showing(&ours.certify_another_host(), Stub::Trust).await;
    let url = stub.url(&verify("verify-full", file.path()));
    let error = refused("another host's certificate", &url, &[]).await;
    let told = error.report().to_string();
    assert!(told.contains("the TLS handshake with localhost"), "{told}");
    assert_eq!(stub.heard().connections(), 0, "it got no further");
}

#[tokio::test]
async fn required_channel_binding_that_is_not_offered_is_told() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let stub = StubServer::showing(&ours.certify(), Stub::ScramAlone).await;
    let parameters = verify("verify-full", file.path());
    let url = stub.url(&format!("{parameters}&channel_binding=require"));
    let error = refused("SCRAM without channel binding", &url, &[]).await;
    let told = error.to_string();
    let expected = "offers no SCRAM channel binding, which the URL requires";
    assert!(told.contains(expected), "{told}");
    assert!(!stub.heard().is_telling());
}
