//! One process that serves several requests concurrently, as on Lambda Managed Instances.

use std::collections::BTreeSet;

use serde_json::Value;
use stagelink_tests::{HerokuFixture, migrate, sdk_example, server};

use crate::warm::{AT_WORK, until_sessions};

const AT_ONCE: usize = 3;

#[tokio::test]
async fn concurrent_requests_share_one_process_and_have_a_connection_each() {
    let fixture = HerokuFixture::new().await;
    migrate(&fixture.variables).await;
    let function = fixture.start_as("concurrent", &sdk_example("concurrent").await, |config| {
        config.concurrency = AT_ONCE;
        config.max_instances = 1;
    });
    // The lock blocks all requests, so all of them are in the handler when it is released.
    let admin = server()
        .await
        .connect_as_superuser_to(&fixture.database)
        .await;
    let mut admin = admin.expect("a superuser");
    let lock = admin.transaction().await.expect("a transaction");
    lock.batch_execute("LOCK TABLE guestbook IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("the lock");
    let ask = async || fixture.ask(&function, "GET", "/", None).await;
    let fall = async {
        let waiting = i64::try_from(AT_ONCE).expect("a small number");
        until_sessions(fixture.database.role(), &AT_WORK, waiting).await;
        lock.rollback().await.expect("a rollback");
    };
    let (one, two, three, ()) = tokio::join!(ask(), ask(), ask(), fall);
    let answers: Vec<Value> = [one, two, three]
        .into_iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{}\n{}", answer.text(), fixture.log());
            answer.json()
        })
        .collect();
    let sessions: BTreeSet<_> = answers
        .iter()
        .map(|answer| answer["session"].as_i64())
        .collect();
    assert_eq!(sessions.len(), AT_ONCE);
    assert!(
        answers
            .iter()
            .all(|one| one["process"] == answers[0]["process"])
    );
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}
