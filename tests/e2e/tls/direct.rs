//! Direct TLS (TLS without an SSLRequest), which servers accept since version 17.

use stagelink_local_postgres::ServerSource;
use stagelink_tests::{Auth, Identity, Middle, Mitm, OwnServer, pooled, through};

use super::{let_in, network, refused, with};

const DIRECT: &str = "STAGELINK_DIRECT_TLS";

/// Opens three connections, of which the first may take one attempt more.
async fn count(server: &OwnServer, connections: [usize; 3]) {
    let url = server.database(Auth::Scram).await.url();
    for (parameters, variables) in [
        ("", &[(DIRECT, "true")][..]),
        ("sslnegotiation=direct", &[]),
        ("sslnegotiation=direct&sslmode=require", &[]),
    ] {
        let proxy = server.proxy().await;
        let url = with(&through(&proxy, &url), parameters);
        for expected in connections {
            let_in(parameters, &url, variables).await;
            assert_eq!(proxy.connections(), expected, "{parameters}");
        }
    }
}

#[tokio::test]
async fn server_before_17_is_asked_the_usual_way_and_remembered() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    if server.major() < 17 {
        count(&server, [2, 3, 4]).await;
    } else {
        count(&server, [1, 2, 3]).await;
    }
}

#[tokio::test]
async fn server_from_17_on_is_reached_at_once() {
    let source: ServerSource = "npm".parse().expect("a source");
    let server = OwnServer::of(source, &Identity::self_signed()).await;
    assert!(server.major() >= 17);
    count(&server, [1, 2, 3]).await;
}

#[tokio::test]
async fn pooler_that_refuses_it_or_waits_for_more_is_asked_the_usual_way() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Scram).await;
    let bouncer = server.bouncer(&[&database], server.identity()).await;
    let silent = Middle::IgnoresDirectTls;
    let silent = Mitm::start(server.address(), server.identity(), silent).await;
    let pin = server.identity().pin();
    // Early SCRAM would add another connection, and is not tested here.
    let variables = [
        (DIRECT, "true"),
        ("STAGELINK_SERVER_PIN", &pin),
        ("STAGELINK_EARLY_SCRAM", "false"),
    ];
    for (what, url) in [
        ("PgBouncer", pooled(&bouncer, &database)),
        ("one who waits", silent.url(&database.url())),
    ] {
        let (proxy, url) = network(&url).await;
        for connections in [2, 3, 4] {
            let_in(what, &url, &variables).await;
            assert_eq!(proxy.connections(), connections, "{what}");
        }
    }
}

#[tokio::test]
async fn man_in_the_middle_is_refused_this_way_too() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    let mitm = Mitm::start(server.address(), &Identity::self_signed(), Middle::Relays).await;
    let url = with(&mitm.url(&url), "sslnegotiation=direct");
    refused("a relay", &url, &[]).await;
    assert!(mitm.heard().connections() > 0, "he opened the encryption");
    assert!(!mitm.heard().has(stagelink_tests::CANARY));
}
