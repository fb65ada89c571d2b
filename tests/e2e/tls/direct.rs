//! Direct TLS (TLS without an SSLRequest), which servers accept since version 17.

use stagelink_local_postgres::ServerSource;
use stagelink_tests::{Auth, Identity, Mitm, MitmBehavior, OwnServer, pooled};

use super::{expect_connections, refused, with};

const DIRECT: &str = "STAGELINK_DIRECT_TLS";

/// Opens three connections, of which the first may take one attempt more.
async fn count(server: &OwnServer, connections: [usize; 3]) {
    let url = server.database(Auth::Scram).await.url();
    for (parameters, variables) in [
        ("", &[(DIRECT, "true")][..]),
        ("sslnegotiation=direct", &[]),
        ("sslnegotiation=direct&sslmode=require", &[]),
    ] {
        let url = with(&url, parameters);
        expect_connections(parameters, &url, variables, &connections).await;
    }
}

#[tokio::test]
async fn server_before_17_is_sent_an_ssl_request_and_remembered() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    if server.major() < 17 {
        count(&server, [2, 3, 4]).await;
    } else {
        count(&server, [1, 2, 3]).await;
    }
}

#[tokio::test]
async fn server_since_17_is_reached_by_direct_tls() {
    let source: ServerSource = "npm".parse().expect("a source");
    let server = OwnServer::from_source(source, &Identity::self_signed()).await;
    assert!(server.major() >= 17);
    count(&server, [1, 2, 3]).await;
}

#[tokio::test]
async fn pooler_without_direct_tls_is_sent_an_ssl_request() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Scram).await;
    let bouncer = server.bouncer(&[&database], server.identity()).await;
    let silent = MitmBehavior::IgnoreDirectTls;
    let silent = server.mitm(silent).await;
    let pin = server.identity().pin();
    // Early SCRAM would add another connection, and is not tested here.
    let variables = [
        (DIRECT, "true"),
        ("STAGELINK_SERVER_PIN", &pin),
        ("STAGELINK_EARLY_SCRAM", "false"),
    ];
    for (what, url) in [
        ("PgBouncer", pooled(&bouncer, &database)),
        ("a pooler that never answers", silent.url(&database.url())),
    ] {
        expect_connections(what, &url, &variables, &[2, 3, 4]).await;
    }
}

#[tokio::test]
async fn man_in_the_middle_is_refused_with_direct_tls_too() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    let mitm = Mitm::start(
        server.address(),
        &Identity::self_signed(),
        MitmBehavior::Relay,
    )
    .await;
    let url = with(&mitm.url(&url), "sslnegotiation=direct");
    refused("a relay", &url, &[]).await;
    assert!(mitm.capture().connections() > 0, "the handshake succeeds");
    assert!(!mitm.capture().has(stagelink_tests::CANARY));
}
