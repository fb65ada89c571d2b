//! Early SCRAM, which does not wait for the server's offer, and servers that do not support it.

use stagelink::ErrorKind;
use stagelink_tests::{Auth, Identity, Middle, Mitm, OwnServer, Stub, StubServer};

use super::{Unproven, let_in, network, open};

const PIN: &str = "STAGELINK_SERVER_PIN";
const EARLY: &str = "STAGELINK_EARLY_SCRAM";
const DANGER: (&str, &str) = ("STAGELINK_DANGER_UNAUTHENTICATED", "true");

#[tokio::test]
async fn server_that_does_not_play_along_is_asked_again_once_per_process() {
    let unproven = Unproven::start(&Identity::self_signed()).await;
    for (login, url) in &unproven.ways {
        let (proxy, url) = network(url).await;
        // The first attempt reveals that this server does not support it, the second succeeds.
        // Later connections know.
        for connections in [2, 3, 4] {
            let_in(login, &url, &[DANGER]).await;
            assert_eq!(proxy.connections(), connections, "{login}");
        }
    }
}

#[tokio::test]
async fn server_that_is_known_by_its_key_is_waited_for() {
    let shown = Identity::self_signed();
    let pin = shown.pin();
    let unproven = Unproven::start(&shown).await;
    for (login, url) in &unproven.ways {
        let (proxy, url) = network(url).await;
        for connections in [1, 2, 3] {
            let_in(login, &url, &[(PIN, &pin)]).await;
            assert_eq!(proxy.connections(), connections, "{login}");
        }
    }
}

#[tokio::test]
async fn server_that_plays_along_is_asked_once() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    for variables in [&[][..], &[(EARLY, "true")], &[(EARLY, "false")]] {
        let (proxy, url) = network(&url).await;
        for connections in 1..=2 {
            let_in("SCRAM", &url, variables).await;
            assert_eq!(proxy.connections(), connections, "{variables:?}");
        }
    }
}

#[tokio::test]
async fn server_that_loses_or_dislikes_what_is_early_is_asked_again_once_per_process() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    for does in [Middle::HangsUpOnWhatIsEarly, Middle::LosesWhatIsEarly] {
        // With the server's own certificate, which is valid otherwise.
        let between = Mitm::start(server.address(), server.identity(), does).await;
        let (proxy, url) = network(&between.url(&url)).await;
        for connections in [2, 3, 4] {
            let_in(&format!("{does:?}"), &url, &[]).await;
            assert_eq!(proxy.connections(), connections, "{does:?}");
        }
        let (proxy, url) = network(&between.url(&url)).await;
        let_in(&format!("{does:?}"), &url, &[(EARLY, "false")]).await;
        assert_eq!(proxy.connections(), 1, "{does:?}");
    }
}

#[tokio::test]
async fn one_connection_is_enough_where_it_is_switched_off() {
    let unproven = Unproven::start(&Identity::self_signed()).await;
    for (login, url) in &unproven.ways {
        let (proxy, url) = network(url).await;
        for connections in 1..=2 {
            let_in(login, &url, &[DANGER, (EARLY, "false")]).await;
            assert_eq!(proxy.connections(), connections, "{login}");
        }
    }
}

#[tokio::test]
async fn error_in_place_of_an_offer_is_told_as_it_is() {
    let shown = Identity::self_signed();
    let server = OwnServer::start(&shown).await;
    let rejected = server.database(Auth::Rejected).await.url();
    let full = StubServer::showing(&shown, Stub::Full).await;
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
        "who is locked out after three has two left"
    );
}

#[tokio::test]
async fn value_that_is_neither_true_nor_false_is_told() {
    let url = "postgres://u:p@127.0.0.1:1/d";
    let error = open(url, &[(EARLY, "maybe")]).await.expect_err("neither");
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(error.to_string().contains(EARLY), "{error}");
}
