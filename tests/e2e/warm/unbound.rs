//! Servers that offer no channel binding: a direct one gets time limits, and a pooler's sessions
//! stay as they are.

use std::time::Duration;

use stagelink::{Database, Settings};
use stagelink_local_postgres::PgBouncerOptions;
use stagelink_tests::{
    Auth, Identity, Mitm, MitmBehavior, NETWORK_DELAY, OwnServer, PATIENT, expect_count, through,
};

use super::within;

/// Returns the settings of a new session that stand for all limits.
async fn limits(url: &str, pin: &str, early: &str) -> Vec<String> {
    let settings = Settings::from_vars([
        ("STAGELINK_STAGE", "staging"),
        ("DATABASE_URL", url),
        ("STAGELINK_SERVER_PIN", pin),
        ("STAGELINK_EARLY_SCRAM", early),
    ]);
    let database = within(&Database::new(settings), Duration::from_secs(30));
    let db = database.client().await.expect("a connection");
    let mut limits = Vec::new();
    for name in [
        "idle_session_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
    ] {
        let row = db.query_typed_one(&format!("SHOW {name}"), &[]).await;
        limits.push(row.expect("a row").get(0));
    }
    limits
}

#[tokio::test]
async fn direct_session_without_channel_binding_is_limited() {
    let identity = Identity::self_signed();
    let pin = identity.pin();
    let server = OwnServer::start(&identity).await;
    let balancer = Mitm::start(server.address(), &identity, MitmBehavior::TerminateTls).await;
    let scram = server.database(Auth::Scram).await;
    for (login, url) in [
        ("MD5", server.database(Auth::Md5).await.url()),
        ("cleartext", server.database(Auth::Cleartext).await.url()),
        ("trust", server.database(Auth::Trust).await.url()),
        ("SCRAM behind a balancer", balancer.url(&scram.url())),
        ("SCRAM", scram.url()),
    ] {
        for early in ["true", "false"] {
            let limits = limits(&url, &pin, early).await;
            assert_eq!(limits[0], "1min", "{login}");
            assert!(
                limits.iter().all(|limit| limit != "0"),
                "{login}: {limits:?}"
            );
        }
    }
}

#[tokio::test]
async fn session_of_a_pooler_is_not_limited_whatever_its_authentication() {
    let identity = Identity::self_signed();
    let pin = identity.pin();
    let server = OwnServer::start(&identity).await;
    let database = server.database(Auth::Scram).await;
    for auth_type in ["scram-sha-256", "md5", "plain", "trust"] {
        let options = PgBouncerOptions::new().auth_type(auth_type);
        let bouncer = server.bouncer_with(options, &[&database], &identity).await;
        for early in ["true", "false"] {
            let limits = limits(&bouncer.url(&database), &pin, early).await;
            assert_eq!(limits, ["0", "0", "0"], "{auth_type}");
        }
    }
}

#[tokio::test]
async fn recognition_of_a_pooler_costs_no_round_trip() {
    let identity = Identity::self_signed();
    let pin = identity.pin();
    let server = OwnServer::start(&identity).await;
    for (auth, expected) in [
        // TCP, SSLRequest, TLS, login (2), stage mark, query.
        (Auth::Md5, 7),
        (Auth::Cleartext, 7),
        (Auth::Trust, 6),
    ] {
        let database = server.database(auth).await.url();
        expect_count(&format!("{auth:?}"), expected, async || {
            let proxy = server.proxy().await;
            proxy.delay(NETWORK_DELAY);
            let url = through(&proxy, &database);
            let needed = [
                ("STAGELINK_STAGE", "staging"),
                ("DATABASE_URL", &url),
                ("STAGELINK_SERVER_PIN", &pin),
                ("STAGELINK_DIRECT_TLS", "false"),
            ];
            let settings = Settings::from_vars(needed.into_iter().chain(PATIENT));
            let db = Database::new(settings)
                .client()
                .await
                .expect("a connection");
            let row = db.query_typed_one("SELECT 1", &[]).await;
            assert_eq!(row.expect("a row").get::<_, i32>(0), 1);
            proxy.round_trips() + 1
        })
        .await;
    }
}
