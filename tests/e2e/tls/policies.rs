//! TLS policies in a URL, and the servers that meet them.

use stagelink_tests::{Auth, Authority, CANARY, Identity, OwnServer, StubBehavior, StubServer};

use super::{UnauthenticatedServer, accepted, refused, roots, verify, with};

/// Opens a database by a policy, and checks whether it is accepted.
async fn expect(is_accepted: bool, what: &str, url: &str, parameters: &str) {
    let (what, url) = (format!("{what}, {parameters}"), with(url, parameters));
    if is_accepted {
        accepted(&what, &url, &[]).await;
    } else {
        refused(&what, &url, &[]).await;
    }
}

#[tokio::test]
async fn certificate_is_checked_as_the_policy_requires() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let file = roots(&ours.pem());
    let mut server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    for (shown, identity, full, ca) in [
        ("the right one", ours.certify(), true, true),
        ("another host's", ours.certify_another_host(), false, true),
        ("an old one", ours.certify_expired(), false, false),
        ("an unknown issuer's", theirs.certify(), false, false),
        ("a self-signed one", Identity::self_signed(), false, false),
    ] {
        server.set_identity(&identity).await;
        for parameters in ["", "sslmode=require", "channel_binding=require"] {
            expect(true, shown, &url, parameters).await;
        }
        for (mode, is_accepted) in [("verify-full", full), ("verify-ca", ca)] {
            let parameters = verify(mode, file.path());
            for binding in ["prefer", "disable", "require"] {
                let parameters = format!("{parameters}&channel_binding={binding}");
                expect(is_accepted, shown, &url, &parameters).await;
            }
        }
    }
}

#[tokio::test]
async fn server_that_its_login_does_not_authenticate_needs_a_verified_certificate() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let unauthenticated = UnauthenticatedServer::start(&ours.certify()).await;
    for (login, url) in &unauthenticated.logins {
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
    assert!(!unauthenticated.balancer.capture().has(CANARY));
}

#[tokio::test]
async fn wrong_host_name_is_reported() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let stub = StubServer::with_identity(&ours.certify_another_host(), StubBehavior::Trust).await;
    let url = stub.url(&verify("verify-full", file.path()));
    let error = refused("another host's certificate", &url, &[]).await;
    let report = error.report().to_string();
    assert!(
        report.contains("the TLS handshake with localhost"),
        "{report}"
    );
    assert_eq!(stub.capture().connections(), 0, "the handshake failed");
}

#[tokio::test]
async fn missing_required_channel_binding_is_reported() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let stub =
        StubServer::with_identity(&ours.certify(), StubBehavior::ScramWithoutChannelBinding).await;
    let parameters = verify("verify-full", file.path());
    let url = stub.url(&format!("{parameters}&channel_binding=require"));
    let error = refused("SCRAM without channel binding", &url, &[]).await;
    let report = error.to_string();
    let expected = "offers SCRAM without channel binding, as a pooler does, a proxy that ends TLS, and a \
                    man-in-the-middle, and the URL requires SCRAM channel binding: connect to the database itself";
    assert!(report.contains(expected), "{report}");
    assert!(!stub.capture().has_sensitive_data());
}
