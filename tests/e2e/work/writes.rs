//! Reads and writes whose connection is lost.

use futures_util::future::join;
use stagelink::{Error, ErrorKind};
use stagelink_local::network::Direction;

use super::gate::Gate;
use super::{INSERT, INSERT_AT_GATE, WorkFixture, insert};

#[tokio::test]
async fn idle_connection_that_the_server_closed_fails_no_work() {
    let fixture = WorkFixture::new().await;
    fixture.write("warm").await.expect("a warm link");
    for name in ["a", "b", "c"] {
        fixture.end_sessions().await;
        fixture.write(name).await.expect("it is written");
        assert_eq!(fixture.count(name).await, 1);
    }
    assert_eq!(
        fixture.provider.request_count(),
        1,
        "the credentials were good"
    );
}

#[tokio::test]
async fn interrupted_read_is_retried() {
    let fixture = WorkFixture::new().await;
    fixture.read().await.expect("a warm link");
    let gate = Gate::close(&fixture.database).await;
    let cut = async {
        gate.is_reached().await;
        fixture.proxy.cut();
        gate.open().await;
    };
    join(fixture.read_at_gate(), cut)
        .await
        .0
        .expect("it is read");
}

#[tokio::test]
async fn write_terminated_by_postgres_is_retried_and_applied_once() {
    let fixture = WorkFixture::new().await;
    fixture.read().await.expect("a warm link");
    let gate = Gate::close(&fixture.database).await;
    let end = async {
        gate.is_reached().await;
        fixture.end_sessions().await;
        gate.open().await;
    };
    join(fixture.write_at_gate("a"), end)
        .await
        .0
        .expect("it is written");
    assert_eq!(fixture.count("a").await, 1);
}

#[tokio::test]
async fn unanswered_write_is_in_doubt_and_not_retried() {
    let fixture = WorkFixture::new().await;
    fixture.read().await.expect("a warm link");
    let gate = Gate::close(&fixture.database).await;
    let cut = async {
        gate.is_reached().await;
        fixture.proxy.cut();
        gate.open().await;
    };
    let error = join(fixture.write_at_gate("a"), cut).await.0.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::OutcomeUnknown,
        "{}",
        error.report()
    );
    assert!(!error.is_retryable());
    assert!(fixture.count("a").await <= 1);
    fixture.write("b").await.expect("the next one is written");
}

#[tokio::test]
async fn write_of_two_statements_is_not_retried_after_the_first_took_effect() {
    let fixture = WorkFixture::new().await;
    let gate = Gate::close(&fixture.database).await;
    let both = fixture.link.write(|db| async move {
        insert(&db, "first", INSERT).await?;
        insert(&db, "second", INSERT_AT_GATE).await
    });
    let end = async {
        gate.is_reached().await;
        fixture.end_sessions().await;
        gate.open().await;
    };
    let error = join(both, end).await.0.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::OutcomeUnknown,
        "{}",
        error.report()
    );
    assert_eq!(
        (fixture.count("first").await, fixture.count("second").await),
        (1, 0)
    );
}

#[tokio::test]
async fn read_survives_a_half_closed_connection() {
    for half in [Direction::ToClient, Direction::ToServer] {
        let fixture = WorkFixture::new().await;
        fixture.read().await.expect("a warm link");
        let gate = Gate::close(&fixture.database).await;
        let close = async {
            gate.is_reached().await;
            fixture.proxy.half_close(half);
            gate.open().await;
        };
        join(fixture.read_at_gate(), close)
            .await
            .0
            .expect("it is read");
        fixture.read().await.expect("so is the next one");
    }
}

#[tokio::test]
async fn value_that_postgres_repeats_in_its_error_begins_no_line_of_the_log() {
    let fixture = WorkFixture::new().await;
    let read = fixture.link.read(|db| async move {
        let forged = stagelink::params!["x\nERROR forged: all is lost\u{1b}[2J\r"];
        db.query_typed("SELECT $1::text::int", &forged).await?;
        Ok::<_, Error>(())
    });
    let error = read.await.expect_err("it is no number");
    assert_eq!(error.kind(), ErrorKind::Query);
    let report = error.report().to_string();
    assert!(report.contains(r"x\nERROR forged"), "{report}");
    assert!(report.contains("(22P02)"), "{report}");
    assert!(!report.contains(char::is_control), "{report:?}");
}

#[tokio::test]
async fn values_of_a_row_are_in_no_report_of_an_error() {
    let fixture = WorkFixture::new().await;
    let name = "ada@customer.example";
    fixture.write(name).await.expect("it is written");
    let error = fixture.write(name).await.expect_err("it is there already");
    for report in [error.report().to_string(), format!("{error:?}")] {
        assert!(report.contains("duplicate key value"), "{report}");
        assert!(report.contains("STAGELINK_LOG_DETAIL"), "{report}");
        assert!(!report.contains("customer"), "{report}");
    }
}
