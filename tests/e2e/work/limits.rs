//! The limits of one request: the memory for a message of the server, and the pool's connections.

use std::error::Error as _;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use stagelink::{Database, Error, ErrorKind, Settings};
use stagelink_tests::{HerokuFixture, proxy, through};
use tokio_postgres::error::SqlState;

const LIMIT: &str = "1000000";
const LONG: &str = "SELECT repeat('x', 100000000)";

/// Returns a database of the fixture with these variables.
fn open(fixture: &mut HerokuFixture, variables: &[(&str, &str)]) -> Database {
    for (name, value) in variables {
        fixture.set(name, value);
    }
    Database::new(Settings::from_vars(&fixture.variables))
}

async fn read(database: &Database, sql: &'static str) -> Result<usize, Error> {
    let read = database.read(|db| async move {
        let row = db.query_typed_one(sql, &[]).await?;
        Ok(row.get::<_, &str>(0).len())
    });
    read.await
}

/// Checks that an error names the sizes, and the way out.
fn names_the_limit(error: &(dyn std::error::Error + 'static), limit: &str) {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    for words in ["a message of 1000000", "STAGELINK_MAX_MESSAGE_BYTES", limit] {
        assert!(text.contains(words), "{words:?} is not in {text:?}");
    }
}

#[tokio::test]
async fn row_above_the_limit_is_an_error_at_once_and_the_next_read_succeeds() {
    let proxy = proxy().await;
    for (variable, value, limit) in [
        ("STAGELINK_MAX_MESSAGE_BYTES", LIMIT, LIMIT),
        // An eighth.
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128", "16777216"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "unknown", "67108864"),
    ] {
        let mut fixture = HerokuFixture::new().await;
        fixture.set_url(&through(&proxy, &fixture.database.url()));
        let database = open(&mut fixture, &[(variable, value)]);
        assert_eq!(
            read(&database, "SELECT repeat('x', 900000)").await.ok(),
            Some(900_000)
        );
        let (before, started) = (proxy.connections(), Instant::now());
        let error = read(&database, LONG).await.expect_err("it is too long");
        assert_eq!(error.kind(), ErrorKind::Query, "{}", error.report());
        names_the_limit(&error, limit);
        assert_eq!(proxy.connections(), before, "it is not tried again");
        assert!(started.elapsed() < Duration::from_secs(30));
        assert_eq!(read(&database, "SELECT 'ab'").await.ok(), Some(2));
    }
}

#[tokio::test]
async fn result_above_the_limit_in_short_rows_is_read() {
    let mut fixture = HerokuFixture::new().await;
    let database = open(&mut fixture, &[("STAGELINK_MAX_MESSAGE_BYTES", "20000")]);
    let db = database.client().await.expect("a connection");
    let sql = "SELECT repeat('x', 10000) FROM generate_series(1, 500)";
    let rows = db.query_typed(sql, &[]).await.expect("rows");
    assert_eq!(rows.len(), 500);
}

#[tokio::test]
async fn outcome_of_work_that_met_a_long_row_stays_true() {
    let mut fixture = HerokuFixture::new().await;
    let database = open(&mut fixture, &[("STAGELINK_MAX_MESSAGE_BYTES", LIMIT)]);
    let db = database.client().await.expect("a connection");
    let table = "CREATE TABLE note (id int)";
    db.batch_execute(table).await.expect("a table");
    drop(db);

    let insert = "INSERT INTO note VALUES (1) RETURNING repeat('x', 100000000)";
    let written = database
        .write(|db| async move { Ok::<_, Error>(db.query_typed(insert, &[]).await?.len()) })
        .await
        .expect_err("its result is too long");
    assert_eq!(written.kind(), ErrorKind::OutcomeUnknown);
    names_the_limit(&written, LIMIT);

    let transacted = database
        .transaction(|db| async move {
            let sql = "INSERT INTO note VALUES (2)";
            db.execute_typed(sql, &[]).await?;
            Ok::<_, Error>(db.query_typed(LONG, &[]).await?.len())
        })
        .await
        .expect_err("a row is too long");
    assert_eq!(transacted.kind(), ErrorKind::Query);
    names_the_limit(&transacted, LIMIT);

    let db = database.client().await.expect("a connection");
    let sql = "SELECT count(*) FROM note WHERE id = 2";
    let row = db.query_typed_one(sql, &[]).await.expect("a row");
    assert_eq!(row.get::<_, i64>(0), 0, "it was rolled back");
}

#[tokio::test]
async fn long_row_of_a_clients_own_statement_is_the_drivers_error() {
    let mut fixture = HerokuFixture::new().await;
    let database = open(&mut fixture, &[("STAGELINK_MAX_MESSAGE_BYTES", LIMIT)]);
    let db = database.client().await.expect("a connection");
    let error = db.query(LONG, &[]).await.expect_err("it is too long");
    assert_eq!(error.code().map(SqlState::code), Some("54000"));
    names_the_limit(&error, LIMIT);
    assert!(error.source().is_some());
    drop(db);

    let db = database.client().await.expect("another connection");
    let copy = db
        .copy_out(format!("COPY ({LONG}) TO STDOUT").as_str())
        .await;
    let chunks = copy.expect("a COPY").try_collect::<Vec<_>>().await;
    names_the_limit(&chunks.expect_err("it is too long"), LIMIT);
}

/// Returns the seconds of the longest loan that an error's text names after these words.
fn longest_loan(text: &str, words: &str) -> f64 {
    let seconds = text
        .split_once(&format!("{words}, one of them for "))
        .and_then(|(_, rest)| rest.split_once(" s;"))
        .and_then(|(seconds, _)| seconds.parse().ok());
    seconds.unwrap_or_else(|| panic!("{text}"))
}

#[tokio::test]
async fn request_that_waits_for_a_leaked_client_is_told_how_long_it_is_lent() {
    let mut fixture = HerokuFixture::new().await;
    let database = open(&mut fixture, &[("STAGELINK_WAIT_TIMEOUT_MS", "200")]);
    std::mem::forget(database.client().await.expect("a connection"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    for least in [1.2, 1.4] {
        let error = database.client().await.expect_err("none is free");
        let text = error.report().to_string();
        let lent = longest_loan(&text, "all 1 are lent");
        assert!((least..60.0).contains(&lent), "{text}");
        assert!(text.contains("never dropped"), "{text}");
    }
}

#[tokio::test]
async fn connection_that_was_given_back_or_detached_is_not_lent() {
    let mut fixture = HerokuFixture::new().await;
    let variables = [
        ("STAGELINK_WAIT_TIMEOUT_MS", "100"),
        ("STAGELINK_POOL_SIZE", "2"),
    ];
    let database = open(&mut fixture, &variables);
    let detached = database.client().await.expect("a connection").detach();
    let returned = database.client().await.expect("a connection");
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(returned);
    let began = Instant::now();
    let _held = (
        database.client().await.expect("a connection"),
        database.client().await.expect("a connection"),
    );
    let error = database.client().await.expect_err("none is free");
    let text = error.report().to_string();
    // The earlier loans are a second older; the text rounds to a tenth.
    let lent = longest_loan(&text, "all 2 are lent");
    assert!(lent <= began.elapsed().as_secs_f64() + 0.1, "{text}");
    drop(detached);
}
