//! `STAGELINK_DANGER_UNAUTHENTICATED`: accepts a server without authentication, as an explicit
//! choice.

use stagelink::{Database, ErrorKind, Settings};
use stagelink_tests::{
    Auth, CANARY, Identity, Mitm, MitmBehavior, OwnServer, StubBehavior, StubServer,
};

use super::{UnauthenticatedServer, accepted, open, refused, with};

const DANGER: &str = "STAGELINK_DANGER_UNAUTHENTICATED";

#[tokio::test]
async fn unauthenticated_server_is_accepted_by_explicit_choice() {
    let unauthenticated = UnauthenticatedServer::start(&Identity::self_signed()).await;
    for (login, url) in &unauthenticated.logins {
        accepted(login, url, &[(DANGER, "true")]).await;
        refused(login, url, &[(DANGER, "false")]).await;
        // An authentication that the URL requires is still required.
        for parameters in ["sslmode=verify-full", "channel_binding=require"] {
            refused(login, &with(url, parameters), &[(DANGER, "true")]).await;
        }
    }
}

#[tokio::test]
async fn production_always_requires_authentication() {
    // An unknown value is rejected.
    for (value, stage) in [("true", "production"), ("perhaps", "staging")] {
        let variables = [
            ("STAGELINK_STAGE", stage),
            ("DATABASE_URL", "postgres://u:p@127.0.0.1:1/d"),
            (DANGER, value),
        ];
        let error = Database::new(Settings::from_vars(variables)).client().await;
        let error = error.expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::Settings, "{}", error.report());
        assert!(error.to_string().contains(DANGER), "{error}");
    }
}

#[tokio::test]
async fn man_in_the_middle_is_detected_where_the_server_can_authenticate() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    for (behavior, identity) in [
        (MitmBehavior::Relay, Identity::self_signed()),
        (MitmBehavior::StripScramPlus, Identity::self_signed()),
        (MitmBehavior::StripScramPlus, server.identity().clone()),
    ] {
        let mitm = Mitm::start(server.address(), &identity, behavior).await;
        let opened = open(&mitm.url(&url), &[(DANGER, "true")]).await;
        opened.expect_err("client or server detects it");
        assert!(mitm.capture().connections() > 0);
        assert!(!mitm.capture().has(CANARY), "{behavior:?}");
    }
}

#[tokio::test]
async fn server_without_encryption_is_refused_all_the_same() {
    let stub = StubServer::start(StubBehavior::NoTls).await;
    refused("no TLS", &stub.url(""), &[(DANGER, "true")]).await;
}
