//! `STAGELINK_SERVER_PIN`: the server must present one of these keys, whatever else authenticates
//! it.

use stagelink::ErrorKind;
use stagelink_tests::{
    Auth, Authority, HerokuFixture, Identity, Mitm, MitmBehavior, OwnServer, StubBehavior,
    StubServer, pin, server,
};

use super::{UnauthenticatedServer, accepted, open, refused, roots, verify, with};

const PIN: &str = "STAGELINK_SERVER_PIN";

#[tokio::test]
async fn pinned_key_authenticates_the_server_for_any_login() {
    let shown = Identity::self_signed();
    let unauthenticated = UnauthenticatedServer::start(&shown).await;
    let (right, wrong) = (shown.pin(), Identity::self_signed().pin());
    for (login, url) in &unauthenticated.logins {
        for pins in [
            &right,
            &format!("{wrong};{right}"),
            &format!("{right};{wrong}"),
        ] {
            accepted(login, url, &[(PIN, pins)]).await;
        }
        refused(login, url, &[(PIN, &wrong)]).await;
        // The URL's other requirements still apply.
        for parameters in ["channel_binding=require", "sslmode=verify-full"] {
            refused(login, &with(url, parameters), &[(PIN, &right)]).await;
        }
    }
}

#[tokio::test]
async fn server_with_another_key_is_refused_by_every_policy() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let (right, wrong) = (server.identity().pin(), ours.certify().pin());
    for parameters in [
        String::new(),
        "channel_binding=require".to_owned(),
        verify("verify-full", file.path()),
        verify("verify-ca", file.path()),
    ] {
        let url = with(&url, &parameters);
        accepted(&parameters, &url, &[(PIN, &right)]).await;
        let error = refused(&parameters, &url, &[(PIN, &wrong)]).await;
        let report = error.report().to_string();
        assert!(report.contains(PIN), "it names the variable: {report}");
    }
}

#[tokio::test]
async fn new_certificate_for_the_pinned_key_is_accepted() {
    let ours = Authority::new("ours");
    let mut server = OwnServer::start(&ours.certify_expired()).await;
    let url = server.database(Auth::Md5).await.url();
    let pin = server.identity().pin();
    accepted("the old one", &url, &[(PIN, &pin)]).await;
    let renewed = Authority::new("theirs").renew(server.identity());
    server.set_identity(&renewed).await;
    accepted("the new one", &url, &[(PIN, &pin)]).await;
    server.set_identity(&ours.certify()).await;
    refused("another key", &url, &[(PIN, &pin)]).await;
}

#[tokio::test]
async fn man_in_the_middle_without_the_pinned_key_gets_no_data() {
    let ours = Authority::new("ours");
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let pin = server.identity().pin();
    for identity in [Identity::self_signed(), ours.certify()] {
        let mitm = Mitm::start(server.address(), &identity, MitmBehavior::Relay).await;
        refused("a relay", &mitm.url(&url), &[(PIN, &pin)]).await;
        assert!(!mitm.capture().has_sensitive_data());
        for stub in [
            StubBehavior::Cleartext,
            StubBehavior::Md5,
            StubBehavior::ScramWithoutChannelBinding,
            StubBehavior::Trust,
        ] {
            let server_in_the_middle = StubServer::with_identity(&identity, stub).await;
            refused(
                &format!("{stub:?}"),
                &server_in_the_middle.url(""),
                &[(PIN, &pin)],
            )
            .await;
            assert!(
                !server_in_the_middle.capture().has_sensitive_data(),
                "{stub:?}"
            );
        }
    }
}

#[tokio::test]
async fn downgrade_by_a_mitm_with_the_pinned_key_is_detected() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    let pin = server.identity().pin();
    let mitm = server.mitm(MitmBehavior::StripScramPlus).await;
    let error = open(&mitm.url(&url), &[(PIN, &pin)]).await;
    let report = error.expect_err("a downgrade").report().to_string();
    assert!(report.contains("negotiation error"), "{report}");
    assert!(mitm.capture().has("y,,n="));
    assert!(!mitm.capture().has(stagelink_tests::CANARY));
}

#[tokio::test]
async fn function_with_another_servers_pin_reveals_no_details() {
    let mut fixture = HerokuFixture::new().await;
    let shown = server().await.certificate_pem();
    let right = pin(shown.expect("a certificate of its own"));
    let wrong = Identity::self_signed().pin();
    fixture.set(PIN, &right);
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    fixture.set(PIN, &wrong);
    let answer = fixture.get("health").await;
    assert_eq!(answer.status, 500, "{}", fixture.log());
    assert!(fixture.log().contains(PIN), "{}", fixture.log());
    for word in [PIN, "sha256", right.as_str(), &wrong] {
        assert!(!answer.text().contains(word), "{}", answer.text());
    }
}

#[tokio::test]
async fn invalid_pin_is_reported() {
    let right = Identity::self_signed().pin();
    for pin in [
        "sha256//short",
        "sha1//AAAA",
        "c2VjcmV0",
        &format!("{right};;x"),
    ] {
        let url = "postgres://u:p@127.0.0.1:1/d";
        let error = open(url, &[(PIN, pin)]).await.expect_err("not a pin");
        assert_eq!(error.kind(), ErrorKind::Settings, "{pin}");
        let report = error.report().to_string();
        assert!(report.contains(PIN) && !report.contains(pin), "{report}");
    }
}
