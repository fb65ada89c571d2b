//! Men in the middle: none of them gets a session, a password or a query.

use stagelink_tests::{
    Auth, Authority, CANARY, Identity, Mitm, MitmBehavior, OwnServer, StubBehavior, StubServer,
};

use super::{open, refused, roots, verify, with};

#[tokio::test]
async fn mitm_with_another_certificate_is_refused_by_every_policy() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let by_file = |mode| verify(mode, file.path());
    for (shown, identity, gets_through_the_handshake) in [
        (
            "a self-signed one",
            Identity::self_signed(),
            vec![String::new(), "channel_binding=require".to_owned()],
        ),
        (
            "a trusted one for another host",
            ours.certify_another_host(),
            vec![
                String::new(),
                "channel_binding=require".to_owned(),
                by_file("verify-ca"),
            ],
        ),
    ] {
        let mitm = Mitm::start(server.address(), &identity, MitmBehavior::Relay).await;
        for parameters in [
            String::new(),
            "channel_binding=require".to_owned(),
            by_file("verify-full"),
            by_file("verify-ca"),
        ] {
            let before = mitm.capture().connections();
            let url = with(&mitm.url(&url), &parameters);
            refused(&format!("{shown}, {parameters}"), &url, &[]).await;
            let has_opened = mitm.capture().connections() > before;
            let expected = gets_through_the_handshake.contains(&parameters);
            assert_eq!(has_opened, expected, "{shown}, {parameters}");
        }
        assert!(!mitm.capture().has(CANARY), "{shown}");
    }
}

#[tokio::test]
async fn downgrade_by_a_mitm_with_the_servers_key_is_detected() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let mitm = server.mitm(MitmBehavior::StripScramPlus).await;
    for parameters in ["", "channel_binding=require"] {
        let url = with(&mitm.url(&url), parameters);
        refused(&format!("no offer, {parameters}"), &url, &[]).await;
        assert!(!mitm.capture().has_sensitive_data(), "{parameters}");
    }
    // A verified certificate authenticates the server. The client still reports that it supports
    // channel binding and saw no offer of it, so the server detects the downgrade.
    let url = with(&mitm.url(&url), &verify("verify-full", file.path()));
    let error = open(&url, &[]).await.expect_err("a downgrade");
    let report = error.report().to_string();
    assert!(report.contains("negotiation error"), "{report}");
    assert!(mitm.capture().has("y,,n="));
    assert!(!mitm.capture().has(CANARY));
}

#[tokio::test]
async fn mitm_that_offers_weaker_authentication_gets_no_data() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    for stub in [
        StubBehavior::Cleartext,
        StubBehavior::Md5,
        StubBehavior::ScramWithoutChannelBinding,
        StubBehavior::Trust,
    ] {
        for identity in [Identity::self_signed(), ours.certify_another_host()] {
            let server_in_the_middle = StubServer::with_identity(&identity, stub).await;
            for parameters in [
                String::new(),
                "channel_binding=require".to_owned(),
                verify("verify-full", file.path()),
            ] {
                refused(
                    &format!("{stub:?}, {parameters}"),
                    &server_in_the_middle.url(&parameters),
                    &[],
                )
                .await;
            }
            assert!(
                !server_in_the_middle.capture().has_sensitive_data(),
                "{stub:?}"
            );
            assert!(server_in_the_middle.capture().connections() > 0, "{stub:?}");
        }
    }
}
