//! Unfinished changes of a stage on a real Postgres.

use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::promotion::deploy_record::{self, DeployOutcome, NewDeploy};
use crate::promotion::lease::Taken;
use crate::promotion::test_database::TestDatabase;

/// Moves the end of all leases into the past.
const EXPIRE: &str = "UPDATE stagelink_leases SET expires_at = clock_timestamp() - interval '1 s'";

async fn take(database: &Database, command: &str) -> Lease {
    match Lease::take(database, "bob@desk", command, None)
        .await
        .unwrap()
    {
        Taken::Fresh(lease) | Taken::Resumed(lease, _) => lease,
    }
}

/// Begins a record as a command of this name does, and returns its number.
async fn begin(database: &Database, lease: &Lease, command: &str, previous: Option<&str>) -> i64 {
    let manifest = json!({});
    let key = SecretString::from("c4n4ry-key");
    let new = NewDeploy {
        command,
        artifact: &"ab".repeat(32),
        previous,
        commit: Some("c0ffee"),
        by: "ann@desk",
        manifest: &manifest,
        self_check_key: Some(&key),
    };
    deploy_record::begin(database, lease.handle(), &new)
        .await
        .unwrap()
}

#[tokio::test]
async fn interrupted_promotion_is_told_with_its_step_and_who_began_it() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    assert_eq!(UnfinishedChange::look(&production).await.unwrap(), None);
    let lease = take(&production, "promote").await;
    let record = begin(&production, &lease, "promote", Some("d1")).await;
    let progress = json!({
        "artifact": "ab".repeat(32), "previous": "d1", "deploy": "d2", "was_locked": false,
        "step": "test", "record": record, "key": "c4n4ry-key",
    });
    lease.save(&progress).await.unwrap();
    let running = UnfinishedChange::look(&production).await.unwrap().unwrap();
    assert!(running.lease_until.is_some() && running.has_locked);
    assert!(
        running
            .ways()
            .starts_with("it runs, or was killed a moment ago")
    );
    let held = ensure_none_of_others(&production, "rollback")
        .await
        .unwrap_err();
    assert_eq!(held.kind(), ErrorKind::Busy);
    // A plan of another command is made all the same: its run finds the lease.
    let planned = ensure_none_is_interrupted(&production, "deploy").await;
    assert_eq!(planned.unwrap(), None);
    database.run(EXPIRE).await;
    let found = UnfinishedChange::look(&production).await.unwrap().unwrap();
    assert_eq!(found.lease_until, None);
    assert_eq!(
        (&*found.by, found.step.as_deref()),
        ("ann@desk", Some("test"))
    );
    assert!(found.leaves_untested("d2", &[]) && !found.leaves_untested("d1", &[]));
    for command in ["rollback", "deploy"] {
        let refused = ensure_none_is_interrupted(&production, command)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Promotion);
        let text = refused.to_string();
        for part in [
            "stage production: the promotion of artifact abababababab is not finished, begun 20",
            "by ann@desk, in the step `test`",
            "`stagelink promote --to production` goes on with it",
            "`stagelink promote --to production --abort` takes back",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("c4n4ry"), "{text}");
    }
    // Its own command goes on.
    let own = ensure_none_is_interrupted(&production, "promote")
        .await
        .unwrap();
    let own = own.unwrap();
    assert!(
        own.note(&"ab".repeat(32))
            .ends_with("this one goes on with it")
    );
    assert!(own.note("other").contains("this is another artifact"));
    assert!(!format!("{own:?}").contains("c4n4ry"));
}

#[tokio::test]
async fn interrupted_rollback_is_told_by_its_record_and_keeps_no_other_command_from_the_stage() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    let lease = take(&production, "deploy").await;
    for id in ["d1", "d2"] {
        let number = begin(&production, &lease, "deploy", None).await;
        let outcome = DeployOutcome::Succeeded;
        let ended =
            deploy_record::finish(&production, lease.handle(), number, outcome, Some(id), &[]);
        ended.await.unwrap();
    }
    assert_eq!(lease.release().await.unwrap().held_since, None);
    let lease = take(&production, "rollback").await;
    begin(&production, &lease, "rollback", Some("d2")).await;
    database.run(EXPIRE).await;
    let found = UnfinishedChange::look(&production).await.unwrap().unwrap();
    assert_eq!(found.title(), "rollback to artifact abababababab");
    let records = deploy_records(&production, 10).await.unwrap();
    assert!(found.leaves_untested("d1", &records) && !found.leaves_untested("d2", &records));
    assert!(
        found
            .ways()
            .contains("`stagelink rollback production --abort`")
    );
    let other = ensure_none_of_others(&production, "promote").await;
    assert_eq!(other.unwrap(), None);
}

#[test]
fn versions_of_an_interrupted_change_are_untested_from_its_first_moved_alias_on() {
    let change = |command: &str, is_tested: bool| -> UnfinishedChange {
        let json = json!({
            "stage": "production", "command": command, "by": "", "since": "", "artifact": null, "commit": null,
            "step": null, "deploy": "g:2 h:1", "previous": "g:1 h:1", "lease_until": null,
            "has_locked": false, "is_tested": is_tested, "is_foreign": false,
        });
        serde_json::from_value(json).unwrap()
    };
    for command in ["promote", "rollback"] {
        let untested = change(command, false);
        assert!(untested.leaves_untested("g:2 h:1", &[]), "{command}");
        assert!(!untested.leaves_untested("g:1 h:1", &[]), "{command}");
        assert!(!change(command, true).leaves_untested("g:2 h:1", &[]));
    }
    let mut of_both = change("deploy", false);
    of_both.deploy = Some("g:2 h:2".to_owned());
    assert!(of_both.leaves_untested("g:2 h:1", &[]) && of_both.leaves_untested("g:1 h:2", &[]));
    assert!(!of_both.leaves_untested("g:3 h:1", &[]));
}
