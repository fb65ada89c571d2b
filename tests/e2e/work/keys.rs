//! Idempotency keys.

use futures_util::future::join_all;
use stagelink::{Error, ErrorKind, IdempotencyKey};

use super::{WorkFixture, cut_after_the_commit, key};

#[tokio::test]
async fn write_with_a_key_gets_its_one_answer_when_its_commit_is_lost() {
    let fixture = WorkFixture::new().await;
    fixture.read().await.expect("a warm link");
    let key = key("a");
    let id = cut_after_the_commit(&fixture, "a", fixture.write_once(&key, "a")).await;
    let id = id.expect("an answer");
    assert_eq!(fixture.count("a").await, 1);
    assert_eq!(
        fixture
            .write_once(&key, "a")
            .await
            .expect("the same answer"),
        id
    );
    assert_eq!(fixture.count("a").await, 1);
}

#[tokio::test]
async fn concurrent_requests_with_one_key_get_one_answer() {
    let fixture = WorkFixture::new().await;
    let key = key("a");
    let links = fixture.links(8);
    let all = links.iter().map(|link| {
        link.write_once(&key, |db| async move {
            let sql = "INSERT INTO entry (name) SELECT 'a' FROM pg_sleep(0.1) RETURNING id";
            let row = db.query_typed_one(sql, &[]).await?;
            Ok::<i64, Error>(row.get(0))
        })
    });
    let answers: Vec<i64> = join_all(all)
        .await
        .into_iter()
        .map(|answer| answer.expect("an answer"))
        .collect();
    assert_eq!(answers, [answers[0]; 8]);
    assert_eq!(fixture.count("a").await, 1);
}

#[tokio::test]
async fn key_is_for_one_request_of_one_owner_for_a_day() {
    let fixture = WorkFixture::new().await;
    let first = fixture.write_once(&key("a"), "a").await.expect("an answer");

    let mut other = lambda_http::Request::new("another body".into());
    other
        .headers_mut()
        .insert("idempotency-key", "a".parse().expect("a value"));
    let other = IdempotencyKey::from_request(&other)
        .expect("a good key")
        .expect("a key");
    let error = fixture.write_once(&other, "b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdempotencyKeyReused);
    assert_eq!(fixture.count("b").await, 0);

    let of_another = key("a").owned_by("bob");
    let second = fixture
        .write_once(&of_another, "b")
        .await
        .expect("an answer");
    assert_ne!(first, second);

    let connect_directly = fixture.connect_directly().await;
    let kept = "SELECT bool_and(kept_until - now() BETWEEN interval '23 hours' AND interval '24 hours') \
                FROM stagelink_idempotency";
    let row = connect_directly.query_typed_one(kept, &[]).await;
    assert!(row.expect("keys").get::<_, bool>(0), "not a day");
    let age = "UPDATE stagelink_idempotency SET kept_until = now() - interval '1 second'";
    connect_directly
        .batch_execute(age)
        .await
        .expect("older keys");
    let third = fixture.write_once(&other, "c").await.expect("a new answer");
    assert_ne!(first, third);
    fixture.write_once(&key("d"), "d").await.expect("an answer");
    let row = connect_directly.query_one("SELECT count(*) FROM stagelink_idempotency", &[]);
    let left: i64 = row.await.expect("a count").get(0);
    assert_eq!(left, 2, "expired keys are removed over time");
}

#[tokio::test]
async fn key_of_failed_work_can_be_used_again() {
    let fixture = WorkFixture::new().await;
    fixture.write("a").await.expect("it is written");
    let error = fixture.write_once(&key("x"), "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Query, "{}", error.report());
    fixture.write_once(&key("x"), "b").await.expect("an answer");
    assert_eq!(fixture.count("b").await, 1);
}

#[tokio::test]
async fn error_of_a_missing_table_names_its_sql() {
    let fixture = WorkFixture::new().await;
    let drop = "DROP TABLE stagelink_idempotency";
    fixture
        .connect_directly()
        .await
        .batch_execute(drop)
        .await
        .expect("no table");
    let error = fixture.write_once(&key("a"), "a").await.unwrap_err();
    assert!(error.to_string().contains("IDEMPOTENCY_TABLE"), "{error}");
    fixture.write("b").await.expect("the connection is good");
}
