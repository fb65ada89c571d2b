//! COPY behind a transaction pooler, and values that take many messages.

use std::pin::pin;

use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _};
use stagelink::{Database, Settings};
use stagelink_local_postgres::PgBouncerOptions;
use stagelink_tests::HerokuFixture;

use super::{COPY_IN, SELECT, Sessions, copy};

#[tokio::test]
async fn large_values_and_copies_pass() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let db = sessions.client().await;
    let long = "0123456789abcdef".repeat(200_000);
    let echo = db.prepare("SELECT $1::text, length($1::text)").await;
    let echo = echo.expect("a statement");
    for _ in 0..3 {
        sessions.swap().await;
        let row = db.query_one(&echo, &[&long]).await.expect("a row");
        assert!(row.get::<_, &str>(0) == long, "it comes back whole");
    }
    let copy_in = db.prepare(COPY_IN).await.expect("a statement");
    sessions.swap().await;
    let sink = db.copy_in::<_, Bytes>(&copy_in).await.expect("a copy");
    let mut sink = pin!(sink);
    for _ in 0..40 {
        let lines = "calm\tcopied\n".repeat(5_000);
        sink.send(lines.into()).await.expect("lines");
    }
    assert_eq!(sink.finish().await.expect("a copy"), 200_000);
    sessions.swap().await;
    let all = "COPY (SELECT note FROM entry WHERE note IS NOT NULL) TO STDOUT";
    let parts = db.copy_out(all).await.expect("a copy");
    let parts: Vec<Bytes> = parts.try_collect().await.expect("all of it");
    assert_eq!(parts.concat().len(), 200_000 * "copied\n".len());
}

#[tokio::test]
async fn copy_that_fails_leaves_a_connection_that_works() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let direct = HerokuFixture::with_url(&sessions.pooled.fixture.database.url()).await;
    let direct = Database::new(Settings::from_vars(&direct.variables));
    let mut failed = Vec::new();
    for (name, link) in [("direct", direct), ("pooled", sessions.pooled.link.clone())] {
        for (sql, line) in [
            ("COPY missing FROM STDIN", "calm\n"),
            ("COPY entry (mood) FROM STDIN", "wrong\n"),
            ("COPY entry (mood) FROM STDIN WHERE 1 / 0 = 1", "calm\n"),
        ] {
            sessions.swap().await;
            let db = link.client().await.expect("a connection");
            if copy(&db, sql, line).await.is_ok() {
                failed.push(format!("{name}, {sql}: no error"));
            }
            for time in 0..3 {
                if let Err(error) = db.query_one(SELECT, &[&1_i64]).await {
                    failed.push(format!("{name}, {sql}, {time}: {error}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
