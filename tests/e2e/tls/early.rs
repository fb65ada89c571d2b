//! Early SCRAM, which does not wait for the server's offer, and servers that do not support it.

use stagelink::{Error, ErrorKind};
use stagelink_tests::{
    Auth, Identity, Mitm, MitmBehavior, OwnServer, StubBehavior, StubServer, expect_count,
};

use super::{UnauthenticatedServer, expect_connections, network, open};

const PIN: &str = "STAGELINK_SERVER_PIN";
const EARLY: &str = "STAGELINK_EARLY_SCRAM";
const DANGER: (&str, &str) = ("STAGELINK_DANGER_UNAUTHENTICATED", "true");

#[tokio::test]
async fn server_without_scram_is_retried_once_per_process() {
    let unauthenticated = UnauthenticatedServer::start(&Identity::self_signed()).await;
    for (login, url) in &unauthenticated.logins {
        // The first attempt reveals that this server does not support it, the second succeeds.
        // Later connections know.
        expect_connections(login, url, &[DANGER], &[2, 3, 4]).await;
    }
}

#[tokio::test]
async fn offer_of_a_pinned_server_is_waited_for() {
    let shown = Identity::self_signed();
    let pin = shown.pin();
    let unauthenticated = UnauthenticatedServer::start(&shown).await;
    for (login, url) in &unauthenticated.logins {
        expect_connections(login, url, &[(PIN, &pin)], &[1, 2, 3]).await;
    }
}

#[tokio::test]
async fn server_with_scram_needs_one_connection() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    for variables in [&[][..], &[(EARLY, "true")], &[(EARLY, "false")]] {
        let what = format!("{variables:?}");
        expect_connections(&what, &url, variables, &[1, 2]).await;
    }
}

#[tokio::test]
async fn server_that_drops_or_rejects_early_bytes_is_retried_once_per_process() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    for behavior in [
        MitmBehavior::CloseOnEarlyBytes,
        MitmBehavior::DropEarlyBytes,
    ] {
        // With the server's own certificate, which is valid otherwise.
        let between = Mitm::start(server.address(), server.identity(), behavior).await;
        let (what, url) = (format!("{behavior:?}"), between.url(&url));
        expect_connections(&what, &url, &[], &[2, 3, 4]).await;
        expect_connections(&what, &url, &[(EARLY, "false")], &[1]).await;
    }
}

#[tokio::test]
async fn server_that_closes_on_early_statements_is_retried_once_per_process() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    let behavior = MitmBehavior::CloseOnEarlyStatements;
    for variables in [&[][..], &[(EARLY, "false")]] {
        let between = Mitm::start(server.address(), server.identity(), behavior).await;
        let what = format!("{variables:?}");
        expect_connections(&what, &between.url(&url), variables, &[2, 3, 4]).await;
    }
}

#[tokio::test]
async fn dropped_early_statements_are_sent_again_on_the_same_connection() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Scram).await;
    let name = database.name();
    let behavior = MitmBehavior::DropEarlyStatements;
    for variables in [&[][..], &[(EARLY, "false")]] {
        let between = Mitm::start(server.address(), server.identity(), behavior).await;
        let what = format!("{variables:?}");
        expect_count(&what, vec![1, 2, 3], async || {
            let (proxy, url) = network(&between.url(&database.url())).await;
            let mut counts = Vec::new();
            for (mark, expected) in [
                ("staging", None),
                ("production", Some(ErrorKind::WrongDatabase)),
                ("staging", None),
            ] {
                let mark =
                    format!("ALTER DATABASE {name} SET application_name = 'stagelink:{mark}'");
                server.run(&mark).await;
                let opened = open(&url, variables).await;
                assert_eq!(opened.as_ref().err().map(Error::kind), expected);
                counts.push(proxy.connections());
                if let Ok(client) = opened {
                    let query = "SELECT current_setting('application_name') || ' ' || \
                        current_setting('idle_session_timeout', true)";
                    let row = client.query_typed_one(query, &[]).await.expect("a row");
                    assert_eq!(row.get::<_, &str>(0), "stagelink 1min", "{what}");
                }
            }
            counts
        })
        .await;
    }
}

#[tokio::test]
async fn refusal_of_the_query_that_is_sent_again_is_reported_at_once() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Scram).await;
    let admin = server.server().connect_as_superuser_to(&database);
    let admin = admin.await.expect("a superuser");
    let revoke = "REVOKE SELECT ON pg_catalog.pg_db_role_setting FROM PUBLIC";
    admin.batch_execute(revoke).await.expect("it is revoked");
    for pooler in ["auto", "never"] {
        let between = server.mitm(MitmBehavior::DropEarlyStatements).await;
        for _ in 0..2 {
            let url = between.url(&database.url());
            let opened = open(&url, &[("STAGELINK_POOLER", pooler)]).await;
            // A start that waits for another response ends as Timeout(Handshake).
            let error = opened.expect_err("the mark is not readable");
            assert_eq!(error.kind(), ErrorKind::WrongDatabase, "{}", error.report());
        }
    }
}

#[tokio::test]
async fn one_connection_suffices_without_early_scram() {
    let unauthenticated = UnauthenticatedServer::start(&Identity::self_signed()).await;
    for (login, url) in &unauthenticated.logins {
        expect_connections(login, url, &[DANGER, (EARLY, "false")], &[1, 2]).await;
    }
}

#[tokio::test]
async fn error_in_place_of_an_offer_is_reported() {
    let shown = Identity::self_signed();
    let server = OwnServer::start(&shown).await;
    let rejected = server.database(Auth::Rejected).await.url();
    let full = StubServer::with_identity(&shown, StubBehavior::Full).await;
    let full = full.url("");
    for (url, kind) in [
        (&rejected, ErrorKind::DatabaseRefused),
        (&full, ErrorKind::TooManyConnections),
    ] {
        let (proxy, url) = network(url).await;
        // No connection waits for a slot here.
        let error = open(&url, &[("STAGELINK_RETRY_TIMEOUT_MS", "1")]).await;
        let error = error.expect_err("an error");
        assert_eq!(error.kind(), kind, "{}", error.report());
        // The server did not get as far as rejecting the early message, so a second attempt without
        // it is needless, and would burden a full server.
        assert_eq!(proxy.connections(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn wrong_password_is_tried_once() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    let (proxy, url) = network(&url.replace("scram@", "wrong@")).await;
    let error = open(&url, &[]).await.expect_err("it is wrong");
    assert_eq!(error.kind(), ErrorKind::DatabaseRefused);
    assert_eq!(
        proxy.connections(),
        1,
        "a retry would bring the role closer to a lockout"
    );
}

#[tokio::test]
async fn value_other_than_true_or_false_is_reported() {
    let url = "postgres://u:p@127.0.0.1:1/d";
    let error = open(url, &[(EARLY, "maybe")]).await.expect_err("neither");
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(error.to_string().contains(EARLY), "{error}");
}
