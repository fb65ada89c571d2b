//! Work that a time limit of the server or the role ends, and reads that lose against the replay on
//! a follower.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stagelink::{Database, Error, ErrorKind, Settings};
use stagelink_local_postgres::Database as LocalDatabase;
use stagelink_tests::{as_superuser, database, server};

fn connect(url: &str) -> Database {
    Database::new(Settings::from_vars([
        ("STAGELINK_STAGE", "staging"),
        ("DATABASE_URL", url),
    ]))
}

/// Creates a database whose role has a setting.
async fn limited(setting: &str, value: &str) -> LocalDatabase {
    let database = database().await;
    let role = database.role();
    as_superuser(&format!("ALTER ROLE {role} SET {setting} = '{value}'")).await;
    database
}

/// Returns the error of work that a limit ends, and how often the work ran by its own count.
async fn ended(work: impl AsyncFnOnce(&AtomicUsize) -> Result<(), Error>) -> (Error, usize) {
    let runs = AtomicUsize::new(0);
    let error = work(&runs).await.expect_err("the limit ends it");
    (error, runs.into_inner())
}

/// Runs work that idles in a transaction, and counts how often it runs.
async fn idle_in_transaction(database: &LocalDatabase) -> (Error, usize) {
    let link = connect(&database.url());
    ended(async |runs| {
        link.transaction(|db| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            db.query_typed("SELECT 1", &[]).await?;
            tokio::time::sleep(Duration::from_millis(600)).await;
            db.query_typed("SELECT 1", &[]).await?;
            Ok::<_, Error>(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn work_that_idles_in_a_transaction_is_repeated_once_and_the_setting_named() {
    let setting = "idle_in_transaction_session_timeout";
    let database = limited(setting, "200ms").await;
    let (error, runs) = idle_in_transaction(&database).await;
    assert!(runs <= 2, "{runs}");
    assert_eq!(error.kind(), ErrorKind::Timeout(stagelink::Phase::Query));
    assert!(error.to_string().contains(setting), "{error}");
    assert!(!error.is_retryable());
}

/// Postgres 17 and newer.
#[tokio::test]
async fn transaction_that_takes_too_long_is_repeated_once_and_the_setting_named() {
    let description = server().await.description();
    let major = description.split([' ', '.']).nth(1);
    if major.and_then(|major| major.parse().ok()) < Some(17) {
        return;
    }
    let database = limited("transaction_timeout", "200ms").await;
    let (error, runs) = idle_in_transaction(&database).await;
    assert!(runs <= 2, "{runs}");
    assert!(error.to_string().contains("transaction_timeout"), "{error}");
}

#[tokio::test]
async fn session_that_idles_within_a_read_is_repeated_once_and_the_setting_named() {
    let database = limited("idle_session_timeout", "200ms").await;
    let link = connect(&database.url());
    let (error, runs) = ended(async |runs| {
        link.read(|db| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            db.batch_execute("SET idle_session_timeout = '200ms'")
                .await?;
            tokio::time::sleep(Duration::from_millis(600)).await;
            db.query_typed("SELECT 1", &[]).await?;
            Ok::<_, Error>(())
        })
        .await
    })
    .await;
    assert!(runs <= 2, "{runs}");
    assert!(
        error.to_string().contains("idle_session_timeout"),
        "{error}"
    );
}

#[tokio::test]
async fn statement_that_takes_too_long_is_not_repeated_and_the_setting_named() {
    let database = limited("statement_timeout", "1s").await;
    let link = connect(&database.url());
    let (error, runs) = ended(async |runs| {
        link.read(|db| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            db.query_typed("SELECT pg_sleep(30)", &[]).await?;
            Ok::<_, Error>(())
        })
        .await
    })
    .await;
    assert_eq!(runs, 1);
    assert!(error.to_string().contains("statement_timeout"), "{error}");
}

/// A standby reports the conflict with this code. The function does so at its first call.
#[tokio::test]
async fn read_that_conflicts_with_recovery_is_tried_again() {
    let database = database().await;
    let link = connect(&database.url());
    let db = link.client().await.expect("a connection");
    db.batch_execute(
        "CREATE SEQUENCE calls;
         CREATE FUNCTION conflicts_once() RETURNS bigint LANGUAGE plpgsql AS $$
         DECLARE call bigint := nextval('calls');
         BEGIN
             IF call = 1 THEN
                 RAISE EXCEPTION 'canceling statement due to conflict with recovery'
                     USING ERRCODE = '40001';
             END IF;
             RETURN call;
         END $$",
    )
    .await
    .expect("a function");
    drop(db);
    let call = link
        .read(|db| async move {
            let row = db.query_typed_one("SELECT conflicts_once()", &[]).await?;
            Ok::<_, Error>(row.get::<_, i64>(0))
        })
        .await;
    assert_eq!(call.expect("it is read"), 2);
}
