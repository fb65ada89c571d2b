//! COPY from the client that the server refuses, before or while it reads the data.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::SinkExt as _;
use stagelink::{Client, Database, Error, Settings};
use stagelink_local_postgres::PgBouncerOptions;
use stagelink_tests::HerokuFixture;

use super::Pooled;

const SCHEMA: &str = "\
    CREATE TABLE line (n int CHECK (n < 100), t text); \
    CREATE VIEW shown AS SELECT n FROM line; \
    CREATE MATERIALIZED VIEW kept AS SELECT n FROM line; \
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN RAISE 'refused' USING ERRCODE = 'SL001'; END $$; \
    CREATE TABLE closed (n int); \
    CREATE TRIGGER refuse BEFORE INSERT ON closed FOR EACH STATEMENT EXECUTE FUNCTION refuse(); \
    CREATE TABLE known (n int PRIMARY KEY); \
    CREATE TABLE child (n int REFERENCES known); \
    CREATE TABLE late (n int); \
    CREATE TRIGGER refuse AFTER INSERT ON late FOR EACH STATEMENT EXECUTE FUNCTION refuse()";

/// Copies so many lines, each sent by itself.
async fn copy(db: &tokio_postgres::Client, table: &str, lines: usize) -> Result<u64, Error> {
    let sql = format!("COPY {table} FROM STDIN");
    let mut sink = pin!(db.copy_in::<_, Bytes>(&sql).await?);
    for _ in 0..lines {
        sink.send(Bytes::from_static(b"7\n")).await?;
    }
    Ok(sink.finish().await?)
}

pub(super) fn code(error: &Error) -> String {
    let driver = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<tokio_postgres::Error>());
    let code = driver.and_then(|error| error.code());
    code.map_or_else(|| error.report().to_string(), |code| code.code().to_owned())
}

/// Checks that two queries get their own answers behind a COPY, which the panics describe.
async fn answers(link: &Database, expected: i32, behind: &str) {
    let db = link.client().await;
    let db = db.unwrap_or_else(|error| panic!("{behind}: {}", error.report()));
    for number in [expected, expected + 1] {
        let row = db.query_one("SELECT $1::int", &[&number]).await;
        let row = row.unwrap_or_else(|error| panic!("{behind}, {number}: {error:?}"));
        assert_eq!(row.get::<_, i32>(0), number, "{behind}");
    }
}

#[tokio::test]
async fn copy_that_is_refused_tells_why_and_confuses_no_later_request() {
    let pooled = Pooled::with_options(PgBouncerOptions::new().default_pool_size(2)).await;
    let direct = HerokuFixture::with_url(&pooled.fixture.database.url()).await;
    let direct = Database::new(Settings::from_vars(&direct.variables));
    let db = direct.client().await.expect("a connection");
    db.batch_execute(SCHEMA).await.expect("a schema");
    drop(db);
    let mut number = 0;
    for (name, link) in [("direct", &direct), ("pooled", &pooled.link)] {
        for (table, expected) in [
            ("shown", "42809"),
            ("kept", "42809"),
            ("closed", "SL001"),
            ("late", "SL001"),
            ("child", "23503"),
            ("line (n)", "ok"),
            ("line (n, t)", "22P04"),
            ("missing", "42P01"),
        ] {
            for lines in [0, 1, 2_000] {
                let expected = match (table, lines) {
                    ("line (n, t)" | "child", 0) => "ok",
                    _ => expected,
                };
                let runs = AtomicUsize::new(0);
                let runs = &runs;
                let work = |db: Client| async move {
                    runs.fetch_add(1, Ordering::Relaxed);
                    copy(&db, table, lines).await
                };
                for attempt in ["client", "write", "transaction"] {
                    let copied = match attempt {
                        "client" => work(link.client().await.expect("a connection")).await,
                        "write" => link.write(work).await,
                        _ => {
                            link.transaction(|db| async move {
                                runs.fetch_add(1, Ordering::Relaxed);
                                copy(&db, table, lines).await
                            })
                            .await
                        }
                    };
                    let seen = copied.as_ref().map_or_else(code, |_| "ok".to_owned());
                    let behind = format!("{name}, {table}, {lines}, {attempt}");
                    assert_eq!(seen, expected, "{behind}");
                    number += 2;
                    answers(link, number, &behind).await;
                }
                assert_eq!(runs.load(Ordering::Relaxed), 3, "{name}, {table}, {lines}");
            }
        }
    }
}

/// In a transaction a handler may go on behind a COPY that failed, with a savepoint.
#[tokio::test]
async fn transaction_goes_on_from_a_savepoint_behind_a_copy_that_failed() {
    let pooled = Pooled::with_options(PgBouncerOptions::new().default_pool_size(2)).await;
    let direct = HerokuFixture::with_url(&pooled.fixture.database.url()).await;
    let direct = Database::new(Settings::from_vars(&direct.variables));
    let db = direct.client().await.expect("a connection");
    db.batch_execute(SCHEMA).await.expect("a schema");
    drop(db);
    for (name, link) in [("direct", &direct), ("pooled", &pooled.link)] {
        for table in ["shown", "closed", "late", "child", "line (n, t)"] {
            for lines in [1, 2_000] {
                let runs = AtomicUsize::new(0);
                let kept = link
                    .transaction(|db| {
                        runs.fetch_add(1, Ordering::Relaxed);
                        async move {
                            db.batch_execute("SAVEPOINT before").await?;
                            let failed = copy(&db, table, lines).await;
                            assert!(failed.is_err());
                            // Both at once: the second one is sent before the first is answered.
                            let (back, row) = tokio::join!(
                                db.batch_execute("ROLLBACK TO SAVEPOINT before"),
                                db.query_one("SELECT 7", &[])
                            );
                            back?;
                            copy(&db, "line (n)", 1).await?;
                            Ok::<i32, Error>(row?.get(0))
                        }
                    })
                    .await;
                let told = kept.as_ref().map_err(|error| error.report().to_string());
                assert_eq!(told, Ok(&7), "{name}, {table}, {lines}");
                assert_eq!(runs.load(Ordering::Relaxed), 1, "{name}, {table}, {lines}");
            }
        }
        let db = link.client().await.expect("a connection");
        let row = db.query_one("SELECT count(*) FROM line", &[]).await;
        assert_eq!(row.expect("a row").get::<_, i64>(0), 10, "{name}");
        db.batch_execute("DELETE FROM line").await.expect("deleted");
    }
}
