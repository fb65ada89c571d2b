//! Records of deploys on a real Postgres.

use serde_json::json;

use super::*;
use crate::promotion::test_database::TestDatabase;

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
    let (manifest, key) = (json!({ "digest": "abc" }), SecretString::from("c4n4ry-key"));
    let id = begin(&production, &deploy("promote", "abc", &manifest, &key))
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
    let (manifest, key) = (json!({}), SecretString::from("k"));
    let other_key = SecretString::from("other");
    let first = begin(&production, &deploy("promote", "abc", &manifest, &key))
        .await
        .unwrap();
    let again = deploy("promote", "abc", &manifest, &other_key);
    assert_eq!(begin(&production, &again).await.unwrap(), first);
    let records = deploy_records(&production, 9).await.unwrap();
    let kept = records[0].self_check_key.as_ref().expect("a key");
    assert_eq!(kept.expose_secret(), "other");
    let second = begin(&production, &deploy("promote", "def", &manifest, &key))
        .await
        .unwrap();
    assert_ne!(second, first);
    finish(&production, second, DeployOutcome::Failed, None, &[])
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
    let (manifest, key) = (json!({}), SecretString::from("k"));
    let id = begin(&production, &deploy("promote", "abc", &manifest, &key))
        .await
        .unwrap();
    assert!(deploy_records(&staging, 9).await.unwrap().is_empty());
    let error = finish(&staging, id, DeployOutcome::Failed, None, &[]).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("no longer has the record"), "{text}");
    // A deploy of the copy ends none of the records that were copied.
    begin(&staging, &deploy("promote", "abc", &manifest, &key))
        .await
        .unwrap();
    let records = deploy_records(&production, 9).await.unwrap();
    assert_eq!(records[0].outcome, None);
}

#[tokio::test]
async fn row_that_was_changed_by_hand_is_named() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    let (manifest, key) = (json!({}), SecretString::from("k"));
    begin(&production, &deploy("promote", "abc", &manifest, &key))
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
