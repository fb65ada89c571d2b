//! State of a connection before it is lent again.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::SinkExt as _;

use stagelink::params;

use super::{WorkFixture, pid};
use crate::warm::late_reset::{expect_reset, unless_late};

#[tokio::test]
async fn connection_with_session_state_is_reset_before_it_is_lent_again() {
    let fixture = WorkFixture::new().await;
    unless_late(fixture.database.role(), async || {
        let db = fixture.link.client().await.expect("a connection");
        db.batch_execute("BEGIN").await.expect("a transaction");
        let first = pid(&db).await;
        drop(db);
        let began = Instant::now();
        let db = fixture.link.client().await.expect("a connection");
        let took = began.elapsed();
        expect_reset(pid(&db).await == first, "after a transaction", took)?;
        let slow = db.batch_execute("SELECT pg_sleep(30)");
        tokio::time::timeout(Duration::from_millis(100), slow)
            .await
            .expect_err("it is left running");
        drop(db);
        let began = Instant::now();
        let db = fixture.link.client().await.expect("a connection");
        let took = began.elapsed();
        expect_reset(pid(&db).await == first, "after a statement", took)
    })
    .await;
}

#[tokio::test]
async fn connection_is_kept_despite_the_drivers_own_messages() {
    let fixture = WorkFixture::new().await;
    let first = {
        let mut db = fixture.link.client().await.expect("a connection");
        // Prepared, and dropped without waiting for the reply.
        db.query("SELECT name FROM entry", &[]).await.expect("rows");
        let copy = db.copy_in::<_, Bytes>("COPY entry (name) FROM STDIN").await;
        let mut sink = pin!(copy.expect("a copy"));
        sink.send("one\ntwo\n".into()).await.expect("data");
        assert_eq!(sink.finish().await.expect("rows"), 2);
        let transaction = db.transaction().await.expect("a transaction");
        transaction.commit().await.expect("an empty one");
        pid(&db).await
    };
    for _ in 0..3 {
        let db = fixture.link.client().await.expect("a connection");
        db.query("SELECT 1", &[]).await.expect("a row");
        assert_eq!(pid(&db).await, first);
    }
}

#[tokio::test]
async fn detached_connection_frees_its_pool_slot_and_closes_on_drop() {
    let fixture = WorkFixture::new().await;
    let detached = fixture.link.client().await.expect("a connection").detach();
    let first = pid(&detached).await;
    let second = pid(&fixture.link.client().await.expect("a second connection")).await;
    assert_ne!(first, second);
    detached
        .batch_execute("BEGIN")
        .await
        .expect("a transaction");
    drop(detached);
    let db = fixture.link.client().await.expect("the second connection");
    assert_eq!(pid(&db).await, second);
    for _ in 0..1000 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
        let row = db
            .query_typed_one(sql, &params![first])
            .await
            .expect("a row");
        if row.get::<_, i64>(0) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the detached session is still there");
}
