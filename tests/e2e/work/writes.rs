//! Reads and writes whose connection is lost.

use futures_util::future::join;
use stagelink::{Error, ErrorKind};
use stagelink_local::testing::network::Direction;

use super::{INSERT, SLOW_INSERT, WorkFixture, insert};

#[tokio::test]
async fn idle_connection_that_the_server_ended_costs_nobody_anything() {
    let place = WorkFixture::new().await;
    place.write("warm").await.expect("a warm link");
    for name in ["a", "b", "c"] {
        place.end_sessions().await;
        place.write(name).await.expect("it is written");
        assert_eq!(place.count(name).await, 1);
    }
    assert_eq!(place.known.asked(), 1, "the credentials were good");
}

#[tokio::test]
async fn read_under_which_the_connection_is_cut_is_done_again() {
    let place = WorkFixture::new().await;
    place.read().await.expect("a warm link");
    let slow = place.link.read(|db| async move {
        db.query_typed("SELECT pg_sleep(0.5)", &[]).await?;
        Ok::<_, Error>(())
    });
    let cut = async {
        place.until_running("pg_sleep").await;
        place.proxy.cut();
    };
    join(slow, cut).await.0.expect("it is read");
}

#[tokio::test]
async fn write_that_postgres_ended_is_done_again_and_once() {
    let place = WorkFixture::new().await;
    place.read().await.expect("a warm link");
    let end = async {
        place.until_running("pg_sleep").await;
        place.end_sessions().await;
    };
    join(place.write_slowly("a"), end)
        .await
        .0
        .expect("it is written");
    assert_eq!(place.count("a").await, 1);
}

#[tokio::test]
async fn write_that_nobody_answered_is_unknown_and_not_done_again() {
    let place = WorkFixture::new().await;
    place.read().await.expect("a warm link");
    let cut = async {
        place.until_running("pg_sleep").await;
        place.proxy.cut();
    };
    let error = join(place.write_slowly("a"), cut).await.0.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::OutcomeUnknown,
        "{}",
        error.report()
    );
    assert!(!error.is_retryable());
    assert!(place.count("a").await <= 1);
    place.write("b").await.expect("the next one is written");
}

#[tokio::test]
async fn write_of_two_statements_is_not_done_again_after_the_first_took_effect() {
    let place = WorkFixture::new().await;
    let both = place.link.write(|db| async move {
        insert(&db, "first", INSERT).await?;
        insert(&db, "second", SLOW_INSERT).await
    });
    let end = async {
        place.until_running("pg_sleep").await;
        place.end_sessions().await;
    };
    let error = join(both, end).await.0.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::OutcomeUnknown,
        "{}",
        error.report()
    );
    assert_eq!(
        (place.count("first").await, place.count("second").await),
        (1, 0)
    );
}

#[tokio::test]
async fn read_survives_a_connection_of_which_one_half_is_closed() {
    for half in [Direction::ToClient, Direction::ToServer] {
        let place = WorkFixture::new().await;
        place.read().await.expect("a warm link");
        let read = place.link.read(|db| async move {
            db.query_typed("SELECT pg_sleep(0.5)", &[]).await?;
            Ok::<_, Error>(())
        });
        let close = async {
            place.until_running("pg_sleep").await;
            place.proxy.half_close(half);
        };
        join(read, close).await.0.expect("it is read");
        place.read().await.expect("so is the next one");
    }
}
