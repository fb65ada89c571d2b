//! Prepared statements that are cached, across changes of the schema.

use stagelink::{Client, Database, Error, params};
use stagelink_tests::{HerokuFixture, proxy, through};
use tokio_postgres::error::SqlState;

use super::{link, pid};

const SQL: &str = "SELECT * FROM entry WHERE id < $1";

/// Returns the number of the table's columns, by a cached statement.
async fn columns(db: &Client) -> usize {
    let rows = db.query_cached(SQL, &params![10_i64]).await.expect("rows");
    rows[0].len()
}

/// Creates a table with a row, and a link whose connection has prepared the statement.
async fn prepared(fixture: &mut HerokuFixture) -> Database {
    let link = link(fixture, &[]);
    let db = link.client().await.expect("a connection");
    db.batch_execute("CREATE TABLE entry (id bigint); INSERT INTO entry VALUES (1)")
        .await
        .expect("a table");
    for _ in 0..3 {
        assert_eq!(columns(&db).await, 1);
    }
    let sql = "SELECT count(*) FROM pg_prepared_statements";
    let row = db.query_typed_one(sql, &[]).await.expect("a row");
    assert_eq!(row.get::<_, i64>(0), 1, "it is prepared");
    link
}

/// Runs a migration on another connection.
async fn migrate(fixture: &mut HerokuFixture, sql: &str) {
    let other = link(fixture, &[]);
    let db = other.client().await.expect("a connection");
    db.batch_execute(sql).await.expect("a migration");
}

#[tokio::test]
async fn cached_statement_recovers_from_a_migration() {
    let mut fixture = HerokuFixture::new().await;
    let link = prepared(&mut fixture).await;
    let first = pid(&link.client().await.expect("a connection")).await;
    for (time, columns_now) in [(1, 2), (2, 3)] {
        migrate(
            &mut fixture,
            &format!("ALTER TABLE entry ADD COLUMN more_{time} text"),
        )
        .await;
        let db = link.client().await.expect("a connection");
        for _ in 0..4 {
            assert_eq!(columns(&db).await, columns_now);
        }
        assert_eq!(pid(&db).await, first, "on the same connection");
    }
}

#[tokio::test]
async fn driver_alone_fails_after_a_migration() {
    let mut fixture = HerokuFixture::new().await;
    let link = prepared(&mut fixture).await;
    let db = link.client().await.expect("a connection");
    let statement = db.prepare(SQL).await.expect("a statement");
    migrate(&mut fixture, "ALTER TABLE entry ADD COLUMN more text").await;
    let error = db
        .query(&statement, &[&10_i64])
        .await
        .expect_err("an error");
    let message = error.as_db_error().expect("the server's").message();
    assert!(message.contains("cached plan must not change"), "{message}");
}

#[tokio::test]
async fn transaction_recovers_from_a_migration() {
    let mut fixture = HerokuFixture::new().await;
    let link = prepared(&mut fixture).await;
    migrate(&mut fixture, "ALTER TABLE entry ADD COLUMN more text").await;
    let count = link
        .transaction(|db| async move {
            let rows = db.query_cached(SQL, &params![10_i64]).await?;
            let sql = "INSERT INTO entry (id) VALUES ($1)";
            db.execute_cached(sql, &params![2_i64]).await?;
            Ok::<_, Error>(rows[0].len())
        })
        .await;
    assert_eq!(count.expect("a transaction"), 2);
    let db = link.client().await.expect("a connection");
    let row = db.query_typed_one("SELECT count(*) FROM entry", &[]).await;
    assert_eq!(
        row.expect("a count").get::<_, i64>(0),
        2,
        "it was done once"
    );
}

#[tokio::test]
async fn deallocated_statements_are_prepared_again() {
    let mut fixture = HerokuFixture::new().await;
    let link = prepared(&mut fixture).await;
    let db = link.client().await.expect("a connection");
    db.batch_execute("DEALLOCATE ALL")
        .await
        .expect("all are forgotten");
    assert_eq!(columns(&db).await, 1);
}

/// Uses a statement of deadpool's cache.
async fn by_deadpool(db: &Client) -> Result<usize, tokio_postgres::Error> {
    let statement = db.prepare_cached(SQL).await?;
    Ok(db.query_one(&statement, &[&10_i64]).await?.len())
}

#[tokio::test]
async fn deadpools_statements_survive_their_deallocation() {
    let mut fixture = HerokuFixture::new().await;
    let link = prepared(&mut fixture).await;
    for command in ["DEALLOCATE ALL", "DISCARD ALL"] {
        let db = link.client().await.expect("a connection");
        let types = "DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM ('calm')";
        db.batch_execute(types).await.expect("a type");
        // The driver prepares a statement of its own to look the type up.
        db.query_typed("SELECT 'calm'::mood", &[])
            .await
            .expect("a mood");
        for _ in 0..2 {
            assert_eq!(by_deadpool(&db).await.expect("rows"), 1);
            db.batch_execute(command).await.expect("all are forgotten");
            assert_eq!(by_deadpool(&db).await.expect("rows"), 1, "{command}");
        }
        let before = pid(&db).await;
        drop(db);
        let db = link.client().await.expect("a connection");
        assert_ne!(
            pid(&db).await,
            before,
            "the driver's own statement is lost too"
        );
        db.batch_execute("CREATE TYPE other AS ENUM ('one')")
            .await
            .expect("a type");
        db.query_typed("SELECT 'one'::other", &[])
            .await
            .expect("a look-up");
        db.batch_execute("DROP TYPE other").await.expect("no type");
        assert_eq!(by_deadpool(&db).await.expect("rows"), 1);
    }
}

#[tokio::test]
async fn deadpools_missing_statement_fails_once() {
    let mut fixture = HerokuFixture::new().await;
    let link = prepared(&mut fixture).await;
    let db = link.client().await.expect("a connection");
    assert_eq!(by_deadpool(&db).await.expect("rows"), 1);
    // Nothing but the statement's absence shows this.
    let hidden = "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$";
    db.batch_execute(hidden).await.expect("all are forgotten");
    let error = by_deadpool(&db).await.expect_err("an error");
    assert_eq!(error.code().map(SqlState::code), Some("26000"));
    for _ in 0..2 {
        assert_eq!(by_deadpool(&db).await.expect("rows"), 1);
    }
    let before = pid(&db).await;
    drop(db);
    let db = link.client().await.expect("a connection");
    assert_ne!(pid(&db).await, before, "the connection is replaced");
    assert_eq!(by_deadpool(&db).await.expect("rows"), 1);
}

#[tokio::test]
async fn deadpools_statement_recovers_from_a_migration() {
    let mut fixture = HerokuFixture::new().await;
    let link = prepared(&mut fixture).await;
    let db = link.client().await.expect("a connection");
    let first = pid(&db).await;
    for columns in 2..4 {
        by_deadpool(&db).await.expect("rows");
        let add = format!("ALTER TABLE entry ADD COLUMN more_{columns} text");
        migrate(&mut fixture, &add).await;
        let error = by_deadpool(&db).await.expect_err("an error");
        assert_eq!(error.code().map(SqlState::code), Some("0A000"));
        assert_eq!(by_deadpool(&db).await.expect("rows"), columns);
    }
    assert_eq!(pid(&db).await, first, "on the same connection");
    drop(db);
    // Reads, writes and transactions are begun again by themselves.
    for columns in [4, 5, 6] {
        let add = format!("ALTER TABLE entry ADD COLUMN more_{columns} text");
        migrate(&mut fixture, &add).await;
        let found = match columns {
            4 => {
                link.read(|db| async move { Ok::<_, Error>(by_deadpool(&db).await?) })
                    .await
            }
            5 => {
                link.write(|db| async move { Ok::<_, Error>(by_deadpool(&db).await?) })
                    .await
            }
            _ => {
                let work = link.transaction(|db| async move {
                    let statement = db.prepare_cached(SQL).await?;
                    Ok::<_, Error>(db.query_one(&statement, &[&10_i64]).await?.len())
                });
                work.await
            }
        };
        assert_eq!(found.expect("rows"), columns);
    }
}

#[tokio::test]
async fn statement_costs_one_round_trip_each_time() {
    let proxy = proxy().await;
    let mut fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let link = link(&mut fixture, &[]);
    let db = link.client().await.expect("a connection");
    db.batch_execute("CREATE TABLE entry (id bigint); INSERT INTO entry VALUES (1)")
        .await
        .expect("a table");
    for time in 1..=4 {
        let before = proxy.round_trips();
        columns(&db).await;
        assert_eq!(proxy.round_trips() - before, 1, "migration {time}");
    }
}

#[tokio::test]
async fn error_of_the_statement_itself_is_returned_each_time() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[]);
    let db = link.client().await.expect("a connection");
    for _ in 0..4 {
        let error = db
            .query_cached("SELECT 1 / $1::int8", &params![0_i64])
            .await;
        let code = error
            .expect_err("an error")
            .code()
            .map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some("22012"));
    }
}
