//! Transactions whose connection is lost, that fail, or that lose a serialization conflict.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{join, join_all};
use stagelink::{Error, ErrorKind};

use super::gate::Gate;
use super::{INSERT, INSERT_AT_GATE, WorkFixture, cut_after_the_commit, insert};

#[tokio::test]
async fn transaction_cut_before_its_commit_is_retried_and_applied_once() {
    let fixture = WorkFixture::new().await;
    let gate = Gate::close(&fixture.database).await;
    let both = fixture.link.transaction(|db| async move {
        insert(&db, "first", INSERT).await?;
        insert(&db, "second", INSERT_AT_GATE).await
    });
    let cut = async {
        gate.is_reached().await;
        fixture.proxy.cut();
        gate.open().await;
    };
    join(both, cut).await.0.expect("it is written");
    assert_eq!(
        (fixture.count("first").await, fixture.count("second").await),
        (1, 1)
    );
}

#[tokio::test]
async fn unanswered_commit_is_in_doubt() {
    let fixture = WorkFixture::new().await;
    fixture.read().await.expect("a warm link");
    let one = fixture
        .link
        .transaction(|db| async move { insert(&db, "a", INSERT).await });
    let error = cut_after_the_commit(&fixture, "a", one).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::OutcomeUnknown,
        "{}",
        error.report()
    );
    assert_eq!(fixture.count("a").await, 1);
}

#[tokio::test]
async fn failing_work_runs_once_and_is_rolled_back() {
    let fixture = WorkFixture::new().await;
    let runs = AtomicUsize::new(0);
    let runs = &runs;
    let error = fixture
        .link
        .transaction(|db| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            insert(&db, "a", INSERT).await?;
            insert(&db, "a", INSERT).await
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Query);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(fixture.count("a").await, 0);
}

#[tokio::test]
async fn transaction_with_a_failed_statement_is_never_reported_as_committed() {
    let fixture = WorkFixture::new().await;
    let error = fixture
        .link
        .transaction(|db| async move {
            insert(&db, "a", INSERT).await?;
            insert(&db, "a", INSERT).await.ok();
            Ok::<_, Error>(())
        })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("rolled it back"), "{error}");
    assert_eq!(fixture.count("a").await, 0);
}

#[tokio::test]
async fn transaction_that_loses_a_race_is_retried() {
    let fixture = WorkFixture::new().await;
    fixture.write("counter").await.expect("it is written");
    let links = fixture.links(4);
    let all = links.iter().map(|link| {
        link.transaction(|db| async move {
            db.batch_execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                .await?;
            let row = db
                .query_typed_one("SELECT count(*) FROM entry", &[])
                .await?;
            let name = format!("n{}", row.get::<_, i64>(0));
            db.batch_execute("SELECT pg_sleep(0.05)").await?;
            insert(&db, &name, INSERT).await
        })
    });
    for result in join_all(all).await {
        result.expect("it is committed");
    }
    assert_eq!(fixture.read().await.expect("a count"), 5);
}
