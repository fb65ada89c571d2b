//! Records of deploys on a real Postgres.

use secrecy::ExposeSecret as _;
use serde_json::json;
use stagelink::Database;

use super::*;
use crate::error::ErrorKind;
use crate::promotion::lease::{Lease, Taken};
use crate::promotion::test_database::TestDatabase;

/// The promotions to a stage of a database.
struct Promotions {
    database: Database,
    lease: Lease,
}

impl Promotions {
    /// Takes the lease on the stage, without which no record changes.
    async fn of(database: Database) -> Self {
        let lease = match Lease::take(&database, "ann@desk", "promote", None).await {
            Ok(Taken::Fresh(lease)) => lease,
            other => panic!("{other:?}"),
        };
        Self { database, lease }
    }

    /// Begins the record of a promotion, whose self-check has this key.
    async fn begin(&self, artifact: &str, key: &str) -> Result<i64, Error> {
        let key = SecretString::from(key);
        let promotion = NewDeploy {
            command: "promote",
            artifact,
            previous: Some("old"),
            commit: Some("c0ffee"),
            by: "ann@desk",
            manifest: &json!({ "digest": artifact }),
            self_check_key: Some(&key),
        };
        begin(&self.database, self.lease.handle(), &promotion).await
    }

    async fn finish(
        &self,
        id: i64,
        outcome: DeployOutcome,
        deploy: Option<&str>,
    ) -> Result<(), Error> {
        let (database, lease) = (&self.database, self.lease.handle());
        finish(database, lease, id, outcome, deploy, &[3, 4]).await
    }

    async fn records(&self) -> Vec<DeployRecord> {
        deploy_records(&self.database, 9).await.unwrap()
    }

    async fn outcomes(&self) -> Vec<(i64, Option<DeployOutcome>)> {
        let records = self.records().await.into_iter();
        records.map(|one| (one.id, one.outcome)).collect()
    }
}

fn key_of(record: &DeployRecord) -> &str {
    record
        .self_check_key
        .as_ref()
        .expect("a key")
        .expose_secret()
}

#[tokio::test]
async fn record_begins_ends_and_keeps_its_key_to_itself() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    assert!(deploy_records(&production, 9).await.unwrap().is_empty());
    let promotions = Promotions::of(production).await;
    let id = promotions.begin("abc", "c4n4ry-key").await.unwrap();
    let records = promotions.records().await;
    let [record] = &*records else {
        panic!("{records:?}");
    };
    assert_eq!(
        (record.id, record.outcome, &record.finished_at),
        (id, None, &None)
    );
    let finished = promotions.finish(id, DeployOutcome::Succeeded, Some("new"));
    finished.await.unwrap();
    let records = promotions.records().await;
    let record = &records[0];
    assert_eq!(record.manifest, json!({ "digest": "abc" }));
    assert_eq!(key_of(record), "c4n4ry-key");
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
    let promotions = Promotions::of(database.of("production")).await;
    let first = promotions.begin("abc", "k").await.unwrap();
    assert_eq!(promotions.begin("abc", "other").await.unwrap(), first);
    assert_eq!(key_of(&promotions.records().await[0]), "other");
    let second = promotions.begin("def", "k").await.unwrap();
    assert_ne!(second, first);
    let failed = promotions.finish(second, DeployOutcome::Failed, None);
    failed.await.unwrap();
    assert_eq!(
        promotions.outcomes().await,
        [
            (second, Some(DeployOutcome::Failed)),
            (first, Some(DeployOutcome::Aborted)),
        ]
    );
    let newest = deploy_records(&promotions.database, 1).await;
    assert_eq!(newest.unwrap().len(), 1);
}

#[tokio::test]
async fn records_of_another_stage_are_of_a_copied_database() {
    let database = TestDatabase::new().await;
    let production = Promotions::of(database.of("production")).await;
    let staging = Promotions::of(database.of("staging")).await;
    let id = production.begin("abc", "k").await.unwrap();
    assert!(staging.records().await.is_empty());
    let error = staging.finish(id, DeployOutcome::Failed, None).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("no longer has the record"), "{text}");
    // A deploy of the copy ends none of the records that were copied.
    staging.begin("abc", "k").await.unwrap();
    assert_eq!(production.outcomes().await, [(id, None)]);
}

#[tokio::test]
async fn row_that_was_changed_by_hand_is_named() {
    let database = TestDatabase::new().await;
    let promotions = Promotions::of(database.of("production")).await;
    let id = promotions.begin("abc", "k").await.unwrap();
    database
        .run("UPDATE stagelink_deploys SET outcome = 'odd'")
        .await;
    let odd = [(id, Some(DeployOutcome::Other))];
    assert_eq!(promotions.outcomes().await, odd);
    database
        .run(
            "ALTER TABLE stagelink_deploys ALTER command DROP NOT NULL; \
              UPDATE stagelink_deploys SET command = NULL",
        )
        .await;
    let error = deploy_records(&promotions.database, 9).await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("the row with the id 1 of the table public.stagelink_deploys"),
        "{text}"
    );
}

#[tokio::test]
async fn command_that_was_stopped_changes_no_record_once_another_one_has_the_lease() {
    let database = TestDatabase::new().await;
    let stopped = Promotions::of(database.of("production")).await;
    let id = stopped.begin("abc", "k").await.unwrap();
    let production = database.of("production");
    let seen = Lease::look(&production).await.unwrap().expect("a row");
    let (lease, _) = Lease::seize(&production, "bob@desk", &seen).await.unwrap();
    // It was stopped after its fence, so it does not know of the other one.
    let error = stopped.finish(id, DeployOutcome::Succeeded, Some("new"));
    let error = error.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    let error = stopped.begin("def", "k").await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(stopped.outcomes().await, [(id, None)]);
    let holder = Promotions {
        database: production,
        lease,
    };
    let aborted = holder.finish(id, DeployOutcome::Aborted, None);
    aborted.await.unwrap();
}

#[test]
fn record_is_of_the_versions_of_a_part_of_its_functions_and_of_no_others() {
    let record = |deploy: &str| -> DeployRecord {
        let json = json!({
            "id": 1, "stage": "production", "command": "promote", "artifact": "ab", "deploy": deploy,
            "previous": null, "commit": null, "applied_migrations": [], "by": "", "outcome": "succeeded",
            "started_at": "", "finished_at": null,
        });
        serde_json::from_value(json).unwrap()
    };
    let both = record("health:3 shop:1");
    assert!(both.has_made("health:3 shop:1") && both.has_tested("shop:1"));
    assert!(!both.is_of("health:3 shop:2") && !record("shop:1").is_of("health:3 shop:1"));
    assert!(record("6748d2f0c1").is_of("6748d2f0c1") && !record("6748d2f0c1").is_of("6748"));
}
