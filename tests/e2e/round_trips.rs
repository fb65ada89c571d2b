//! Round trips to the database that a request takes.

use stagelink::{Database, Error, IDEMPOTENCY_TABLE, IdempotencyKey, Settings};
use stagelink_local_postgres::ServerSource;
use stagelink_tests::{
    Auth, HerokuFixture, Identity, NETWORK_DELAY, OwnServer, PATIENT, expect_count, proxy, through,
    tls_library,
};

/// Connections and round trips from a cold start to the first response, including the one that opens
/// the TCP connection.
async fn cold(server: &OwnServer, variables: &[(&str, &str)]) -> (usize, usize) {
    let proxy = server.proxy().await;
    proxy.delay(NETWORK_DELAY);
    let url = through(&proxy, &server.database(Auth::Scram).await.url());
    let needed = [("STAGELINK_STAGE", "staging"), ("DATABASE_URL", &url)];
    let variables = needed.iter().chain(&PATIENT).chain(variables).copied();
    let link = Database::new(Settings::from_vars(variables));
    let db = link.client().await.expect("a connection");
    let answer = db.query_typed_one("SELECT 1", &[]).await;
    assert_eq!(answer.expect("an answer").get::<_, i32>(0), 1);
    (proxy.connections(), proxy.round_trips() + 1)
}

/// Counts the round trips that a server's version allows.
async fn count(server: OwnServer) {
    let expected = [
        (false, true, 6),
        (false, false, 7),
        (true, true, 5),
        (true, false, 6),
    ];
    let major = server.major();
    for (is_direct, is_early, expected) in expected {
        // Older servers do not support direct TLS.
        if major >= 17 || !is_direct {
            let text = |is_on: bool| if is_on { "true" } else { "false" };
            let variables = [
                ("STAGELINK_DIRECT_TLS", text(is_direct)),
                ("STAGELINK_EARLY_SCRAM", text(is_early)),
            ];
            let what = format!("{major}, direct TLS {is_direct}, early SCRAM {is_early}");
            expect_count(&what, (1, expected), async || {
                let count = cold(&server, &variables).await;
                println!("{what}: {count:?}");
                count
            })
            .await;
        }
    }
}

async fn from_npm(source: &str) -> OwnServer {
    let source: ServerSource = source.parse().expect("a source");
    OwnServer::from_source(source, &Identity::self_signed()).await
}

#[tokio::test]
async fn cold_connect_to_this_machines_postgres_costs_the_minimum() {
    count(OwnServer::start(&Identity::self_signed()).await).await;
}

#[tokio::test]
async fn cold_connect_to_postgres_18_costs_the_minimum() {
    count(from_npm("npm").await).await;
}

#[tokio::test]
async fn cold_connect_to_postgres_17_costs_the_minimum() {
    count(from_npm("npm:17").await).await;
}

#[tokio::test]
async fn offer_of_a_pinned_server_is_waited_for_unless_it_is_known_to_be_no_pooler() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let pin = server.identity().pin();
    for (pooler, expected) in [("auto", 7), ("never", 6)] {
        let variables = [
            ("STAGELINK_DIRECT_TLS", "false"),
            ("STAGELINK_POOLER", pooler),
            ("STAGELINK_SERVER_PIN", &pin),
        ];
        let count = async || cold(&server, &variables).await;
        expect_count(pooler, (1, expected), count).await;
    }
}

#[tokio::test]
async fn warm_select_costs_one_round_trip() {
    // Whether a connection costs 5 and the session's settings at most, the connections, and the
    // costs of the requests after the first one.
    let expected = (true, 1, vec![1; 3]);
    // The platform's library does not offer P-256 first, which Postgres up to 17 wants.
    let of_platform = usize::from(tls_library() == "native-tls");
    expect_count("a warm SELECT", expected, async || {
        let proxy = proxy().await;
        proxy.delay(NETWORK_DELAY);
        let fixture = HerokuFixture::new().await;
        fixture.set_url(&through(&proxy, &fixture.database.url()));
        let function = fixture.function("health").await;
        function.warm_up().await.expect("the function starts");
        let cold = proxy.round_trips() + 1;
        let mut before = cold;
        let mut costs = Vec::new();
        for _ in 0..=3 {
            let answer = fixture.ask(&function, "GET", "/api/health", None).await;
            assert_eq!(answer.status, 200, "{}", fixture.log());
            costs.push(proxy.round_trips() + 1 - before);
            before = proxy.round_trips() + 1;
        }
        println!("round trips: {cold} to connect (TCP's own counted), {costs:?} for warm SELECTs");
        function.shutdown().await;
        // Nothing waits for the response to the settings, so the first request may share their
        // flight.
        let is_cheap = cold <= 6 + of_platform && costs.remove(0) <= 1;
        (is_cheap, proxy.connections(), costs)
    })
    .await;
}

#[tokio::test]
async fn safety_checks_cost_no_round_trip_but_those_of_the_transaction() {
    let proxy = proxy().await;
    let fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let link = Database::new(Settings::from_vars(&fixture.variables));
    let db = link.client().await.expect("a connection");
    db.batch_execute(IDEMPOTENCY_TABLE).await.expect("a table");
    drop(db);
    let mut request = lambda_http::Request::new("body".into());
    let value = "a".parse().expect("a value");
    request.headers_mut().insert("idempotency-key", value);
    let key = IdempotencyKey::from_request(&request)
        .expect("a key")
        .expect("a key");

    let mut before = proxy.round_trips();
    let mut cost = || {
        let now = proxy.round_trips();
        now - std::mem::replace(&mut before, now)
    };
    let select = "SELECT 1";
    link.read(|db| async move { Ok::<_, Error>(db.query_typed(select, &[]).await?.len()) })
        .await
        .expect("a read");
    assert_eq!(cost(), 1, "read");
    link.write(|db| async move { Ok::<_, Error>(db.execute_typed(select, &[]).await?) })
        .await
        .expect("a write");
    assert_eq!(cost(), 1, "write");
    link.transaction(|db| async move { Ok::<_, Error>(db.execute_typed(select, &[]).await?) })
        .await
        .expect("a transaction");
    assert_eq!(cost(), 3, "transaction");
    for (name, expected) in [("once", 3), ("once again", 2)] {
        link.write_once(&key, |db| async move {
            Ok::<_, Error>(db.execute_typed(select, &[]).await?)
        })
        .await
        .expect("an answer");
        assert_eq!(cost(), expected, "{name}");
    }
    assert_eq!(proxy.connections(), 1);
}
