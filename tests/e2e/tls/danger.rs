//! `STAGELINK_DANGER_UNAUTHENTICATED`: accepts a server without authentication, as an explicit
//! choice.

use stagelink::{Database, ErrorKind, Settings};
use stagelink_tests::{Auth, CANARY, Identity, Middle, Mitm, OwnServer, Stub, StubServer};

use super::{Unproven, let_in, open, refused, with};

const DANGER: &str = "STAGELINK_DANGER_UNAUTHENTICATED";

#[tokio::test]
async fn server_that_proves_nothing_is_let_in_by_those_who_say_so() {
    let unproven = Unproven::start(&Identity::self_signed()).await;
    for (login, url) in &unproven.ways {
        let_in(login, url, &[(DANGER, "true")]).await;
        refused(login, url, &[(DANGER, "false")]).await;
        // An authentication that the URL requires is still required.
        for parameters in ["sslmode=verify-full", "channel_binding=require"] {
            refused(login, &with(url, parameters), &[(DANGER, "true")]).await;
        }
    }
}

#[tokio::test]
async fn production_is_never_without_proof() {
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
async fn man_in_the_middle_is_noticed_where_the_server_offers_a_proof() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    for (does, identity) in [
        (Middle::Relays, Identity::self_signed()),
        (Middle::StripsPlus, Identity::self_signed()),
        (Middle::StripsPlus, server.identity().clone()),
    ] {
        let mitm = Mitm::start(server.address(), &identity, does).await;
        let opened = open(&mitm.url(&url), &[(DANGER, "true")]).await;
        opened.expect_err("one of the two ends notices");
        assert!(mitm.heard().connections() > 0);
        assert!(!mitm.heard().has(CANARY), "{does:?}");
    }
}

#[tokio::test]
async fn server_without_encryption_is_refused_all_the_same() {
    let stub = StubServer::start(Stub::NoTls).await;
    refused("no TLS", &stub.url(""), &[(DANGER, "true")]).await;
}
