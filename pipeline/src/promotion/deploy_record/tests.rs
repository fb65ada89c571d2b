//! Records of deploys on a real Postgres.

use serde_json::json;

use super::*;
use crate::promotion::lease::{Lease, Taken};
use crate::promotion::test_database::TestDatabase;

/// Takes the lease on a stage, without which no record changes.
async fn lease(database: &Database) -> Lease {
    match Lease::take(database, "ann@desk", "promote", None).await {
        Ok(Taken::Fresh(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

fn deploy<'a>(
    command: &'a str,
    artifact: &'a str,
    manifest: &'a Value,
    key: &'a SecretString,
) -> NewDeploy<'a> {
    NewDeploy {
        command,
        artifact,
        previous: Some("old"),
        commit: Some("c0ffee"),
        by: "ann@desk",
        manifest,
        self_check_key: Some(key),
    }
}

#[tokio::test]
async fn record_begins_ends_and_keeps_its_key_to_itself() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    assert!(deploy_records(&production, 9).await.unwrap().is_empty());
    let lease = lease(&production).await;
    let (manifest, key) = (json!({ "digest": "abc" }), SecretString::from("c4n4ry-key"));
    let id = begin(
        &production,
        lease.handle(),
        &deploy("promote", "abc", &manifest, &key),
    )
    .await
    .unwrap();
    let records = deploy_records(&production, 9).await.unwrap();
    let [record] = &*records else {
        panic!("{records:?}");
    };
    assert_eq!(
        (record.id, record.outcome, &record.finished_at),
        (id, None, &None)
    );
    finish(
        &production,
        lease.handle(),
        id,
        DeployOutcome::Succeeded,
        Some("new"),
        &[3, 4],
    )
    .await
    .unwrap();
    let records = deploy_records(&production, 9).await.unwrap();
    let record = &records[0];
    assert_eq!(record.manifest, manifest);
    let kept = record.self_check_key.as_ref().expect("a key");
    assert_eq!(kept.expose_secret(), "c4n4ry-key");
    let json = serde_json::to_value(record).unwrap();
    for (name, value) in [
        ("stage", json!("production")),
        ("command", json!("promote")),
        ("artifact", json!("abc")),
        ("deploy", json!("new")),
        ("previous", json!("old")),
        ("commit", json!("c0ffee")),
        ("applied_migrations", json!([3, 4])),
        ("by", json!("ann@desk")),
        ("outcome", json!("succeeded")),
    ] {
        assert_eq!(json[name], value, "{json}");
    }
    assert!(record.finished_at.is_some());
    assert!(!format!("{record:?} {json}").contains("c4n4ry"), "{json}");
}

#[tokio::test]
async fn interrupted_record_is_gone_on_with_by_the_same_command_and_ended_by_another() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    let lease = lease(&production).await;
    let (manifest, key) = (json!({}), SecretString::from("k"));
    let other_key = SecretString::from("other");
    let first = begin(
        &production,
        lease.handle(),
        &deploy("promote", "abc", &manifest, &key),
    )
    .await
    .unwrap();
    let again = deploy("promote", "abc", &manifest, &other_key);
    assert_eq!(
        begin(&production, lease.handle(), &again).await.unwrap(),
        first
    );
    let records = deploy_records(&production, 9).await.unwrap();
    let kept = records[0].self_check_key.as_ref().expect("a key");
    assert_eq!(kept.expose_secret(), "other");
    let second = begin(
        &production,
        lease.handle(),
        &deploy("promote", "def", &manifest, &key),
    )
    .await
    .unwrap();
    assert_ne!(second, first);
    finish(
        &production,
        lease.handle(),
        second,
        DeployOutcome::Failed,
        None,
        &[],
    )
    .await
    .unwrap();
    let records = deploy_records(&production, 9).await.unwrap();
    let outcomes: Vec<_> = records.iter().map(|one| (one.id, one.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            (second, Some(DeployOutcome::Failed)),
            (first, Some(DeployOutcome::Aborted)),
        ]
    );
    assert_eq!(deploy_records(&production, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn records_of_another_stage_are_of_a_copied_database() {
    let database = TestDatabase::new().await;
    let (production, staging) = (database.of("production"), database.of("staging"));
    let (lease, other) = (lease(&production).await, lease(&staging).await);
    let (manifest, key) = (json!({}), SecretString::from("k"));
    let id = begin(
        &production,
        lease.handle(),
        &deploy("promote", "abc", &manifest, &key),
    )
    .await
    .unwrap();
    assert!(deploy_records(&staging, 9).await.unwrap().is_empty());
    let error = finish(
        &staging,
        other.handle(),
        id,
        DeployOutcome::Failed,
        None,
        &[],
    )
    .await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("no longer has the record"), "{text}");
    // A deploy of the copy ends none of the records that were copied.
    begin(
        &staging,
        other.handle(),
        &deploy("promote", "abc", &manifest, &key),
    )
    .await
    .unwrap();
    let records = deploy_records(&production, 9).await.unwrap();
    assert_eq!(records[0].outcome, None);
}

#[tokio::test]
async fn row_that_was_changed_by_hand_is_named() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    let lease = lease(&production).await;
    let (manifest, key) = (json!({}), SecretString::from("k"));
    begin(
        &production,
        lease.handle(),
        &deploy("promote", "abc", &manifest, &key),
    )
    .await
    .unwrap();
    database
        .run("UPDATE stagelink_deploys SET outcome = 'odd'")
        .await;
    let records = deploy_records(&production, 9).await.unwrap();
    assert_eq!(records[0].outcome, Some(DeployOutcome::Other));
    database
        .run(
            "ALTER TABLE stagelink_deploys ALTER command DROP NOT NULL; \
              UPDATE stagelink_deploys SET command = NULL",
        )
        .await;
    let text = deploy_records(&production, 9)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("the row with the id 1 of the table public.stagelink_deploys"),
        "{text}"
    );
}

#[tokio::test]
async fn command_that_was_stopped_changes_no_record_once_another_one_has_the_lease() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    let stopped = lease(&production).await;
    let (manifest, key) = (json!({}), SecretString::from("k"));
    let promoted = deploy("promote", "abc", &manifest, &key);
    let id = begin(&production, stopped.handle(), &promoted)
        .await
        .unwrap();
    let seen = Lease::look(&production).await.unwrap().expect("a row");
    let (holder, _) = Lease::seize(&production, "bob@desk", &seen).await.unwrap();
    // It was stopped after its fence, so it does not know of the other one.
    let live = DeployOutcome::Succeeded;
    let error = finish(&production, stopped.handle(), id, live, Some("new"), &[]).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    let other = deploy("promote", "def", &manifest, &key);
    let error = begin(&production, stopped.handle(), &other).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Busy);
    let records = deploy_records(&production, 9).await.unwrap();
    let outcomes: Vec<_> = records.iter().map(|one| (one.id, one.outcome)).collect();
    assert_eq!(outcomes, [(id, None)]);
    let aborted = DeployOutcome::Aborted;
    let aborted = finish(&production, holder.handle(), id, aborted, None, &[]).await;
    aborted.unwrap();
}
