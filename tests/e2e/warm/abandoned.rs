//! Cancelled work: its connection is reset and lent again at once.

use std::time::{Duration, Instant};

use stagelink::{Database, Error, ErrorKind};
use stagelink_tests::{HerokuFixture, proxy, through};
use tokio::time::timeout;

use super::late_reset::{LateReset, expect_reset, unless_late};
use super::{ANY, AT_WORK, Pooled, link, pid, reaches_sessions, sessions, until_sessions};

/// Checks that a connection is lent again since this time, and that nothing is at work.
async fn expect_same(
    (fixture, link, first): (&HerokuFixture, &Database, i32),
    what: &str,
    since: Instant,
) -> Result<(), LateReset> {
    let db = link.client().await.expect("a connection");
    let took = since.elapsed();
    expect_reset(pid(&db).await == first, what, took)?;
    let at_work = sessions(fixture.database.role(), &AT_WORK).await;
    expect_reset(at_work == 0, "it is at work", took)
}

/// Cancels a statement that would take half a minute.
async fn abandon(link: &Database) {
    let db = link.client().await.expect("a connection");
    let slow = db.batch_execute("SELECT pg_sleep(30)");
    let given_up = timeout(GIVEN_UP, slow).await;
    given_up.expect_err("it takes longer");
}

/// Ends an invocation, and returns the time that it took.
async fn finish(link: &Database) -> Duration {
    let began = Instant::now();
    link.finish_invocation().await;
    began.elapsed()
}

/// Time after which a statement is given up.
const GIVEN_UP: Duration = Duration::from_millis(100);

/// Less than what is given up would take.
const WAITED: Duration = Duration::from_secs(20);

#[tokio::test]
async fn abandoned_statement_is_cancelled_and_its_connection_is_reused_at_once() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[]);
    for _ in 0..5 {
        unless_late(fixture.database.role(), async || {
            let first = pid(&link.client().await.expect("a connection")).await;
            abandon(&link).await;
            let began = Instant::now();
            let same = (&fixture, &link, first);
            expect_same(same, "the connection is not reused", began).await?;
            assert!(began.elapsed() < WAITED, "it waited");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn transaction_left_open_is_rolled_back() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[]);
    let db = link.client().await.expect("a connection");
    db.batch_execute("CREATE TABLE entry (name text)")
        .await
        .expect("a table");
    drop(db);
    for statement in [
        // Idle in a transaction, in a failed one, and in one with a running statement.
        "BEGIN; INSERT INTO entry VALUES ('lost')",
        "BEGIN; INSERT INTO entry VALUES ('lost'); SELECT 1 / 0",
        "BEGIN; INSERT INTO entry VALUES ('lost'); SELECT pg_sleep(30)",
    ] {
        unless_late(fixture.database.role(), async || {
            let db = link.client().await.expect("a connection");
            let first = pid(&db).await;
            timeout(GIVEN_UP, db.batch_execute(statement)).await.ok();
            drop(db);
            expect_same((&fixture, &link, first), statement, Instant::now()).await?;
            let db = link.client().await.expect("a connection");
            let row = db.query_typed_one("SELECT count(*) FROM entry", &[]).await;
            assert_eq!(row.expect("a count").get::<_, i64>(0), 0, "{statement}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn drivers_own_rollback_is_waited_for() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[]);
    for _ in 0..5 {
        unless_late(fixture.database.role(), async || {
            let mut db = link.client().await.expect("a connection");
            let first = pid(&db).await;
            let transaction = db.transaction().await.expect("a transaction");
            transaction.batch_execute("SELECT 1").await.expect("a row");
            drop(transaction);
            drop(db);
            expect_same((&fixture, &link, first), "another one", Instant::now()).await
        })
        .await;
    }
}

#[tokio::test]
async fn transaction_with_an_abandoned_statement_does_not_wait_for_it() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[]);
    unless_late(fixture.database.role(), async || {
        let began = Instant::now();
        let given_up = link.transaction(|db| async move {
            let slow = db.batch_execute("SELECT pg_sleep(30)");
            timeout(GIVEN_UP, slow)
                .await
                .map_err(|_| Error::new(ErrorKind::Query, "it took too long"))??;
            Ok::<_, Error>(())
        });
        let error = given_up.await.expect_err("it was given up");
        assert_eq!(error.to_string(), "it took too long");
        link.client().await.expect("a connection");
        assert!(began.elapsed() < WAITED, "it waited");
        let took = began.elapsed().saturating_sub(GIVEN_UP);
        let at_work = sessions(fixture.database.role(), &AT_WORK).await;
        expect_reset(at_work == 0, "it is at work", took)
    })
    .await;
}

#[tokio::test]
async fn connection_whose_statement_cannot_be_cancelled_is_discarded() {
    let proxy = proxy().await;
    let mut fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let link = link(&mut fixture, &[]);
    let first = pid(&link.client().await.expect("a connection")).await;
    // From now on the client's packets are dropped without an error.
    proxy.stall();
    abandon(&link).await;
    link.finish_invocation().await;
    proxy.resume();
    let db = link.client().await.expect("a connection");
    assert_ne!(pid(&db).await, first);
}

#[tokio::test]
async fn connection_is_closed_where_the_end_of_its_invocation_is_not_waited_for() {
    let proxy = proxy().await;
    let mut fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let link = link(&mut fixture, &[]);
    let db = link.client().await.expect("a connection");
    let begun = db.batch_execute("BEGIN").await;
    begun.expect("a transaction");
    proxy.stall();
    drop(db);
    let end = timeout(Duration::from_millis(10), link.finish_invocation()).await;
    end.expect_err("it waits for the server's response");
    proxy.resume();
    // Without another loan, as in a process that is frozen now.
    until_sessions(fixture.database.role(), &ANY, 0).await;
}

#[tokio::test]
async fn end_of_an_invocation_waits_for_abandoned_statements_to_stop() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[]);
    unless_late(fixture.database.role(), async || {
        abandon(&link).await;
        let took = finish(&link).await;
        let at_work = sessions(fixture.database.role(), &AT_WORK).await;
        expect_reset(at_work == 0, "it is at work", took)
    })
    .await;
}

#[tokio::test]
async fn statement_is_cancelled_behind_a_pooler_too() {
    let pooled = Pooled::start().await;
    for _ in 0..3 {
        let role = pooled.fixture.database.role();
        unless_late(role, async || {
            abandon(&pooled.link).await;
            let took = finish(&pooled.link).await;
            let stops = reaches_sessions(role, &AT_WORK, 0).await;
            expect_reset(stops, "it is at work", took)
        })
        .await;
        let one = pooled.link.read(|db| async move {
            let row = db.query_typed_one("SELECT 1", &[]).await?;
            Ok::<i32, Error>(row.get(0))
        });
        assert_eq!(one.await.expect("a row"), 1);
    }
}
