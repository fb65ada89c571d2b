//! Idempotency keys.

use futures_util::future::join_all;
use stagelink::{Database, Error, ErrorKind, IdempotencyKey, Limits, ServerSettings, Stage};

use super::{WorkFixture, cut_after_the_commit, key};

#[tokio::test]
async fn write_with_a_key_gets_its_one_answer_whatever_happens_to_its_commit() {
    let place = WorkFixture::new().await;
    place.read().await.expect("a warm link");
    let key = key("a");
    let id = cut_after_the_commit(&place, "a", place.write_once(&key, "a")).await;
    let id = id.expect("an answer");
    assert_eq!(place.count("a").await, 1);
    assert_eq!(
        place.write_once(&key, "a").await.expect("the same answer"),
        id
    );
    assert_eq!(place.count("a").await, 1);
}

#[tokio::test]
async fn requests_with_one_key_at_the_same_time_get_one_answer() {
    let place = WorkFixture::new().await;
    let key = key("a");
    let limits = Limits::default();
    let links: Vec<Database> = (0..8)
        .map(|_| {
            Database::with_provider(
                Stage::Staging,
                place.known.clone(),
                limits.clone(),
                ServerSettings::default(),
            )
        })
        .collect();
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
    assert_eq!(place.count("a").await, 1);
}

#[tokio::test]
async fn key_is_for_one_request_of_one_owner_for_a_day() {
    let place = WorkFixture::new().await;
    let first = place.write_once(&key("a"), "a").await.expect("an answer");

    let mut other = lambda_http::Request::new("another body".into());
    other
        .headers_mut()
        .insert("idempotency-key", "a".parse().expect("a value"));
    let other = IdempotencyKey::from_request(&other)
        .expect("a good key")
        .expect("a key");
    let error = place.write_once(&other, "b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdempotencyKeyReused);
    assert_eq!(place.count("b").await, 0);

    let of_another = key("a").owned_by("bob");
    let second = place.write_once(&of_another, "b").await.expect("an answer");
    assert_ne!(first, second);

    let aside = place.aside().await;
    let age = "UPDATE stagelink_idempotency SET kept_until = now() - interval '1 second'";
    aside.batch_execute(age).await.expect("older keys");
    let third = place.write_once(&other, "c").await.expect("a new answer");
    assert_ne!(first, third);
    place.write_once(&key("d"), "d").await.expect("an answer");
    let row = aside.query_one("SELECT count(*) FROM stagelink_idempotency", &[]);
    let left: i64 = row.await.expect("a count").get(0);
    assert_eq!(left, 2, "what is out of date is removed by and by");
}

#[tokio::test]
async fn key_of_work_that_failed_is_free_again() {
    let place = WorkFixture::new().await;
    place.write("a").await.expect("it is written");
    let error = place.write_once(&key("x"), "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Query, "{}", error.report());
    place.write_once(&key("x"), "b").await.expect("an answer");
    assert_eq!(place.count("b").await, 1);
}

#[tokio::test]
async fn missing_table_says_where_its_sql_is() {
    let place = WorkFixture::new().await;
    let drop = "DROP TABLE stagelink_idempotency";
    place
        .aside()
        .await
        .batch_execute(drop)
        .await
        .expect("no table");
    let error = place.write_once(&key("a"), "a").await.unwrap_err();
    assert!(error.to_string().contains("IDEMPOTENCY_TABLE"), "{error}");
    place.write("b").await.expect("the connection is good");
}
