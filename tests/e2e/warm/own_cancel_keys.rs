//! Poolers that offer channel binding: their cancel keys give them away, and their sessions stay as
//! they are.

use std::time::Duration;

use stagelink::{Database, Error, Settings, params};
use stagelink_local::network::Proxy;
use stagelink_tests::{
    Auth, HerokuFixture, Identity, MitmBehavior, NETWORK_DELAY, OwnServer, expect_count, through,
};

use super::within;

/// Returns a database by its URL, with these variables.
fn open(url: &str, variables: &[(&str, &str)]) -> Database {
    let needed = [("STAGELINK_STAGE", "staging"), ("DATABASE_URL", url)];
    let variables = needed.iter().chain(variables).copied();
    let database = Database::new(Settings::from_vars(variables));
    within(&database, Duration::from_secs(30))
}

/// Does every kind of work, and returns the session's settings and the number of its prepared
/// statements.
async fn work(database: &Database) -> (Vec<String>, i64) {
    for _ in 0..3 {
        let read = database.read(|db| async move {
            let row = db.query_cached_opt("SELECT $1::int4", &params![1]).await?;
            Ok::<i32, Error>(row.expect("a row").get(0))
        });
        assert_eq!(read.await.expect("a read"), 1);
        let write = database.transaction(|db| async move {
            let row = db.query_cached_opt("SELECT $1::int4", &params![2]).await?;
            Ok::<i32, Error>(row.expect("a row").get(0))
        });
        assert_eq!(write.await.expect("a transaction"), 2);
    }
    let db = database.client().await.expect("a connection");
    let mut settings = Vec::new();
    for name in [
        "idle_session_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "application_name",
    ] {
        let row = db.query_typed_one(&format!("SHOW {name}"), &[]).await;
        settings.push(row.expect("a row").get(0));
    }
    let count = "SELECT count(*) FROM pg_prepared_statements";
    let row = db.query_typed_one(count, &[]).await.expect("a row");
    (settings, row.get(0))
}

#[tokio::test]
async fn session_of_a_pooler_that_offers_channel_binding_stays_as_it_is() {
    let identity = Identity::self_signed();
    let server = OwnServer::start(&identity).await;
    let url = server.database(Auth::Scram).await.url();
    let changes = ["set_config", "SET application_name", "RESET ALL"];
    for early in ["true", "false"] {
        for (behavior, setting, is_pooler) in [
            (MitmBehavior::OwnCancelKeys, "auto", true),
            (MitmBehavior::OwnCancelKeys, "never", false),
            (MitmBehavior::Relay, "auto", false),
            (MitmBehavior::Relay, "always", true),
        ] {
            let between = server.mitm(behavior).await;
            let variables = [
                ("STAGELINK_EARLY_SCRAM", early),
                ("STAGELINK_POOLER", setting),
            ];
            let (settings, prepared) = work(&open(&between.url(&url), &variables)).await;
            let what = format!("{behavior:?}, {setting}: {settings:?}, {prepared} prepared");
            assert_eq!(settings == ["0", "0", "0", ""], is_pooler, "{what}");
            assert_eq!(prepared == 0, is_pooler, "{what}");
            for change in changes {
                assert_eq!(
                    between.capture().has(change),
                    !is_pooler,
                    "{change}, {what}"
                );
            }
        }
    }
}

#[tokio::test]
async fn pooler_that_only_its_cancel_keys_give_away_is_one_warning() {
    let identity = Identity::self_signed();
    let server = OwnServer::start(&identity).await;
    let url = server.database(Auth::Scram).await.url();
    for (behavior, setting, warnings) in [
        (MitmBehavior::OwnCancelKeys, "auto", 1),
        (MitmBehavior::OwnCancelKeys, "always", 0),
        (MitmBehavior::OwnCancelKeys, "never", 0),
        (MitmBehavior::Relay, "auto", 0),
    ] {
        let between = server.mitm(behavior).await;
        let mut fixture = HerokuFixture::with_url(&between.url(&url)).await;
        fixture.set("STAGELINK_POOLER", setting);
        fixture.set("STAGELINK_IDLE_TIMEOUT_MS", "100");
        let function = fixture.function("health").await;
        for _ in 0..2 {
            let answer = fixture.ask(&function, "GET", "/api/health", None).await;
            assert_eq!(answer.status, 200, "{}", fixture.log());
            // The next request opens another connection.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        function.shutdown().await;
        let log = fixture.log();
        let found = log.matches("STAGELINK_POOLER=never").count();
        assert_eq!(found, warnings, "{behavior:?}, {setting}: {log}");
    }
}

#[tokio::test]
async fn recognition_by_the_cancel_key_costs_no_round_trip() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    for behavior in [MitmBehavior::OwnCancelKeys, MitmBehavior::Relay] {
        let between = server.mitm(behavior).await;
        // TCP, SSLRequest, TLS, login (2), query.
        expect_count(&format!("{behavior:?}"), (1, 6), async || {
            let proxy = Proxy::start(between.address()).await.expect("a proxy");
            proxy.delay(NETWORK_DELAY);
            let database = open(&through(&proxy, &url), &[]);
            let db = database.client().await.expect("a connection");
            let row = db.query_typed_one("SELECT 1", &[]).await;
            assert_eq!(row.expect("a row").get::<_, i32>(0), 1);
            (proxy.connections(), proxy.round_trips() + 1)
        })
        .await;
    }
}
