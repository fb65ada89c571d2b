//! Findings about the server and its database: connections, transactions, indexes, and age.

use std::time::Duration;

use stagelink_local_postgres::{Server, ServerOptions};
use stagelink_tests::{CANARY, as_superuser, database, server};
use tokio::time::sleep;

use super::{FEW, Patient, bound};
use crate::warm::{ANY, until_sessions};

#[tokio::test]
async fn more_instances_than_connections_are_limited_as_advised() {
    let (patient, ..) = Patient::new().await;
    let examined = patient.examine("staging", &[]).await;
    let advice = examined.finding("connections", "warning", &["1000 instances", "may have 20"]);
    assert!(advice.contains("pg:connection-pooling:attach"), "{advice}");
    let option = advice.split("doctor with ").nth(1).expect("an option");
    let words: Vec<_> = option.split(' ').collect();
    patient
        .examine("staging", &words)
        .await
        .assert_sound("connections");
}

#[tokio::test]
async fn connections_in_use_are_counted_against_the_limit_until_they_end() {
    let (patient, staging, _) = Patient::new().await;
    let mut sessions = Vec::new();
    for _ in 0..16 {
        sessions.push(server().await.connect(&staging).await.expect("a session"));
    }
    // Those of earlier commands end a moment after them, and the doctor would count them.
    until_sessions(staging.role(), &ANY, 16).await;
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("connections", "warning", &["17 of the 20 connections"]);
    assert!(advice.contains("pg_terminate_backend"), "{advice}");
    until_sessions(staging.role(), &ANY, 16).await;
    for _ in 16..20 {
        sessions.push(server().await.connect(&staging).await.expect("a session"));
    }
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("connections", "error", &["too many connections"]);
    assert!(advice.contains("end sessions"), "{advice}");
    let end = format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{}'",
        staging.name()
    );
    as_superuser(&end).await;
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("connections");
}

#[tokio::test]
async fn long_transaction_is_ended_as_advised() {
    let (patient, staging, _) = Patient::new().await;
    let forgotten = server().await.connect(&staging).await.expect("a session");
    forgotten
        .batch_execute("SET application_name = 'a forgotten \u{1b}[2J tool'; BEGIN; SELECT 1")
        .await
        .expect("a transaction");
    let words = [&FEW[..], &["--long-transaction", "1"]].concat();
    sleep(Duration::from_millis(1500)).await;
    let examined = patient.examine("staging", &words).await;
    let expected = ["idle in transaction", "a forgotten"];
    let advice = examined.finding("long-transactions", "warning", &expected);
    // By the default of five minutes it is none.
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("long-transactions");
    let sql = advice.split('`').nth(1).expect("a statement");
    let other = server().await.connect(&staging).await.expect("a session");
    other.batch_execute(sql).await.expect("the session ends");
    // Its end takes a moment.
    while patient.examine("staging", &words).await.found() != [""; 0] {}
}

#[tokio::test]
async fn sessions_that_the_role_may_not_see_are_not_called_sound() {
    let (patient, staging, _) = Patient::new().await;
    let of_superuser = server().await.connect_as_superuser_to(&staging).await;
    let of_superuser = of_superuser.expect("a session");
    of_superuser
        .batch_execute("BEGIN")
        .await
        .expect("a transaction");
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_not_checked("long-transactions", "may not see");
    assert_eq!(examined.json["not_checked"], 1, "{}", examined.json);
}

#[tokio::test]
async fn invalid_index_is_dropped_as_advised() {
    let (patient, staging, _) = Patient::new().await;
    let session = server().await.connect(&staging).await.expect("a session");
    session
        .batch_execute(
            "CREATE TABLE \"Notes\" (mail text); INSERT INTO \"Notes\" VALUES ('a'), ('a')",
        )
        .await
        .expect("a table");
    let built = "CREATE UNIQUE INDEX CONCURRENTLY \"By mail\" ON \"Notes\" (mail)";
    session.batch_execute(built).await.expect_err("equal rows");
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("invalid-indexes", "warning", &["public.\"By mail\""]);
    let sql = advice.split('`').nth(1).expect("a statement");
    session.batch_execute(sql).await.expect("it is dropped");
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("invalid-indexes");
}

#[tokio::test]
async fn old_transaction_ids_are_frozen_as_advised() {
    let mut own = Server::start(ServerOptions::new()).await.expect("a server");
    let staging = own.create_database("aged", &format!("{CANARY}-aged")).await;
    let staging = staging.expect("a database");
    let admin = own.connect_as_superuser().await.expect("a superuser");
    for sql in [
        "ALTER SYSTEM SET autovacuum_freeze_max_age = 100000",
        "ALTER SYSTEM SET autovacuum = off",
    ] {
        admin.batch_execute(sql).await.expect(sql);
    }
    own.restart().await.expect("a restart");
    let mut patient = Patient::without_stages();
    patient.write(
        "stagelink.toml",
        "[stages.staging]\nurl = { variable = \"STAGING_URL\" }\n",
    );
    patient.set("STAGING_URL", &bound(&staging.url()));
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("transaction-id-age");

    let admin = own
        .connect_as_superuser_to(&staging)
        .await
        .expect("a superuser");
    let old = own
        .connect_as_superuser_to(&staging)
        .await
        .expect("a superuser");
    old.batch_execute("BEGIN; SELECT txid_current()")
        .await
        .expect("a transaction");
    let burn =
        "DO $$ BEGIN FOR i IN 1..170000 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$";
    admin.batch_execute(burn).await.expect("transactions");
    let examined = patient.examine("staging", &FEW).await;
    let expected = [
        "the oldest transaction id",
        "autovacuum should have frozen it at 100000",
    ];
    let advice = examined.finding("transaction-id-age", "warning", &expected);
    assert!(advice.starts_with("end old transactions"), "{advice}");
    old.batch_execute("ROLLBACK").await.expect("its end");
    let sql = advice.split('`').nth(1).expect("a statement");
    for _ in 0..2 {
        admin.batch_execute(sql).await.expect("it is frozen");
    }
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("transaction-id-age");
    own.stop().await.expect("its end");
}

#[tokio::test]
async fn comparison_of_stages_ends_its_transactions() {
    let (patient, staging, _) = Patient::new().await;
    let words = [&["doctor", "--json"][..], &FEW].concat();
    patient
        .examine_with(&words)
        .await
        .assert_sound("own-database");
    let other = database().await;
    drop(other);
    let session = server().await.connect(&staging).await.expect("a session");
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
                 (SELECT oid FROM pg_database WHERE datname = current_database())";
    let row = session.query_one(locks, &[]).await.expect("a row");
    assert_eq!(row.get::<_, i64>(0), 0);
}
