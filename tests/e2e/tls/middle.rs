//! Men in the middle: none of them gets a session, a password or a query.

use stagelink_tests::{
    Auth, Authority, CANARY, Identity, Middle, Mitm, OwnServer, Stub, StubServer,
};

use super::{open, refused, roots, verify, with};

#[tokio::test]
async fn man_with_a_certificate_of_his_own_is_refused_by_every_policy() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let by_file = |mode| verify(mode, file.path());
    for (his, identity, gets_through_the_handshake) in [
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
        let mitm = Mitm::start(server.address(), &identity, Middle::Relays).await;
        for parameters in [
            String::new(),
            "channel_binding=require".to_owned(),
            by_file("verify-full"),
            by_file("verify-ca"),
        ] {
            let before = mitm.heard().connections();
            let url = with(&mitm.url(&url), &parameters);
            refused(&format!("{his}, {parameters}"), &url, &[]).await;
            let has_opened = mitm.heard().connections() > before;
            let expected = gets_through_the_handshake.contains(&parameters);
            assert_eq!(has_opened, expected, "{his}, {parameters}");
        }
        assert!(!mitm.heard().has(CANARY), "{his}");
    }
}

#[tokio::test]
async fn downgrade_by_one_who_has_the_servers_own_key_is_noticed() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let mitm = Mitm::start(server.address(), server.identity(), Middle::StripsPlus).await;
    for parameters in ["", "channel_binding=require"] {
        let url = with(&mitm.url(&url), parameters);
        refused(&format!("no offer, {parameters}"), &url, &[]).await;
        assert!(!mitm.heard().is_telling(), "{parameters}");
    }
    // A verified certificate authenticates the server. The client still reports that it supports
    // channel binding and saw no offer of it, so the server detects the downgrade.
    let url = with(&mitm.url(&url), &verify("verify-full", file.path()));
    let error = open(&url, &[]).await.expect_err("a downgrade");
    let told = error.report().to_string();
    assert!(told.contains("negotiation error"), "{told}");
    assert!(mitm.heard().has("y,,n="));
    assert!(!mitm.heard().has(CANARY));
}

#[tokio::test]
async fn man_who_asks_for_less_than_the_server_would_hears_nothing() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    for stub in [Stub::Cleartext, Stub::Md5, Stub::ScramAlone, Stub::Trust] {
        for identity in [Identity::self_signed(), ours.certify_another_host()] {
            let man = StubServer::showing(&identity, stub).await;
            for parameters in [
                String::new(),
                "channel_binding=require".to_owned(),
                verify("verify-full", file.path()),
            ] {
                refused(
                    &format!("{stub:?}, {parameters}"),
                    &man.url(&parameters),
                    &[],
                )
                .await;
            }
            assert!(!man.heard().is_telling(), "{stub:?}");
            assert!(man.heard().connections() > 0, "{stub:?}");
        }
    }
}
