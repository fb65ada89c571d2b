//! Leases on a real Postgres.

mod end;
mod fence;

use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};

use super::*;
use crate::fence::FenceSlot;
use crate::promotion::stop::LeaseEnd;
use crate::promotion::test_database::{CANARY, TestDatabase, as_superuser};

/// Moves the end of all leases into the past.
const EXPIRE: &str = "UPDATE stagelink_leases SET expires_at = clock_timestamp() - interval '1 s'";

async fn taken(database: &TestDatabase, stage: &str, holder: &str) -> Lease {
    match Lease::take(&database.of(stage), holder, "promote", None).await {
        Ok(Taken::Fresh(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

async fn refused(database: &TestDatabase, holder: &str, command: &str) -> Error {
    match Lease::take(&database.of("production"), holder, command, None).await {
        Ok(taken) => panic!("{taken:?}"),
        Err(error) => error,
    }
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = timeout(Duration::from_secs(30), async {
        while !holds().await {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let waited = waited.await;
    waited.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

#[tokio::test]
async fn one_of_two_wins_and_the_other_names_it() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    assert!(Lease::look(&production).await.unwrap().is_none());
    let (one, other) = tokio::join!(
        Lease::take(&production, "ann@desk", "promote", None),
        Lease::take(&production, "ann@desk", "promote", None),
    );
    let (lease, error) = match (one, other) {
        (Ok(taken), Err(error)) | (Err(error), Ok(taken)) => (taken, error),
        others => panic!("{others:?}"),
    };
    let Taken::Fresh(lease) = lease else {
        panic!("{lease:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.is_retryable());
    let row = Lease::look(&production).await.unwrap().expect("a row");
    assert!(!row.is_expired);
    assert_eq!((&*row.holder, &*row.command), ("ann@desk", "promote"));
    let text = error.to_string();
    for part in [
        "stage production is being changed by `stagelink promote` of ann@desk",
        &format!("since {}", row.taken_at),
        "the lease ends at ",
        "--abort",
    ] {
        assert!(text.contains(part), "{text}");
    }
    lease.fence().await.unwrap();
    assert_eq!(lease.release().await.unwrap().held_since, None);
    assert!(Lease::look(&production).await.unwrap().is_none());
    taken(&database, "production", "bob@desk").await;
}

#[tokio::test]
async fn rows_of_another_stage_are_of_a_copied_database() {
    let database = TestDatabase::new().await;
    let production = taken(&database, "production", "ann@desk").await;
    assert!(
        Lease::look(&database.of("staging"))
            .await
            .unwrap()
            .is_none()
    );
    let staging = taken(&database, "staging", "bob@desk").await;
    production.fence().await.unwrap();
    assert_eq!(staging.release().await.unwrap().held_since, None);
    production.fence().await.unwrap();
    // A row that was seen and is gone is not taken from the one that has come since.
    let production_row = Lease::look(&database.of("production")).await.unwrap();
    let row = production_row.expect("a row");
    let error = Lease::seize(&database.of("staging"), "x", &row).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Busy);
}

#[tokio::test]
async fn expired_lease_of_the_same_command_is_taken_over_with_its_progress() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    let lease = taken(&database, "production", "ann@desk").await;
    let progress = json!({ "artifact": "abc", "key": "c4n4ry-key" });
    lease.save(&progress).await.unwrap();
    // The process is gone, and the lease is not: only its end by the server's clock counts.
    lease.kill();
    let error = refused(&database, "bob@desk", "promote").await;
    assert_eq!(error.kind(), ErrorKind::Busy);
    database.run(EXPIRE).await;
    let row = Lease::look(&production).await.unwrap().expect("a row");
    assert!(row.is_expired);
    assert_eq!(row.progress, progress);
    assert!(!format!("{row:?} {row}").contains("c4n4ry"));

    let error = refused(&database, "bob@desk", "rollback").await;
    assert_eq!(error.kind(), ErrorKind::Settings);
    let text = error.to_string();
    for part in [
        "`stagelink promote` of ann@desk was interrupted while it changed stage production",
        "its lease ended at ",
        "--abort",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("c4n4ry"), "{text}");

    let other = json!({ "artifact": "def" });
    let taken = Lease::take(&production, "bob@desk", "promote", Some(&other))
        .await
        .unwrap();
    assert!(!format!("{taken:?}").contains("c4n4ry"));
    let Taken::Resumed(lease, kept) = taken else {
        panic!("{taken:?}");
    };
    assert_eq!(kept.0, progress);
    lease.fence().await.unwrap();
    let row = Lease::look(&production).await.unwrap().expect("a row");
    assert_eq!(row.holder, "bob@desk");
    assert_eq!(row.progress, progress);
    assert!(!row.is_expired);
}

#[tokio::test]
async fn row_that_came_with_a_backup_is_not_gone_on_with_and_abort_removes_it_alone() {
    let database = TestDatabase::new().await;
    let production = database.of("production");
    let lease = taken(&database, "production", "ann@desk").await;
    let progress = json!({ "deploy": "d1", "key": "c4n4ry-key" });
    lease.save(&progress).await.unwrap();
    lease.kill();
    assert!(!Lease::look(&production).await.unwrap().unwrap().is_foreign);
    // As pg_restore does it: another table, with the same rows.
    database
        .run(
            "ALTER TABLE stagelink_leases RENAME TO dumped; \
             CREATE TABLE stagelink_leases (LIKE dumped INCLUDING ALL); \
             INSERT INTO stagelink_leases SELECT * FROM dumped; DROP TABLE dumped",
        )
        .await;
    database.run(EXPIRE).await;
    for command in ["promote", "rollback"] {
        let error = refused(&database, "bob@desk", command).await;
        assert_eq!(error.kind(), ErrorKind::Settings);
        let text = error.to_string();
        for part in ["was restored, forked or failed over", "ann@desk", "--abort"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("c4n4ry"), "{text}");
    }
    let row = Lease::look(&production).await.unwrap().expect("a row");
    assert!(row.is_foreign);
    let told = Lease::discard(&production, "bob@desk", &row).await.unwrap();
    for part in [
        "`stagelink promote` of ann@desk, of the deploy d1",
        "nothing else was changed",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("c4n4ry"), "{told}");
    taken(&database, "production", "bob@desk").await.kill();
    // Its own one is taken over as before.
    let row = Lease::look(&production).await.unwrap().expect("a row");
    assert!(!row.is_foreign);
}

#[tokio::test]
async fn expired_lease_without_progress_has_changed_nothing_and_is_free() {
    let database = TestDatabase::new().await;
    taken(&database, "production", "ann@desk").await.kill();
    database.run(EXPIRE).await;
    let progress = json!({ "artifact": "abc" });
    let production = database.of("production");
    let taken = Lease::take(&production, "bob@desk", "rollback", Some(&progress)).await;
    assert!(matches!(taken, Ok(Taken::Fresh(_))), "{taken:?}");
    let row = Lease::look(&production).await.unwrap().expect("a row");
    assert_eq!(
        (row.command, row.progress),
        ("rollback".to_owned(), progress)
    );
}

#[tokio::test]
async fn fence_after_a_takeover_names_the_new_holder_and_stays_closed() {
    let database = TestDatabase::new().await;
    let lease = taken(&database, "production", "ann@desk").await;
    lease.save(&json!({ "key": "c4n4ry-key" })).await.unwrap();
    let seen = Lease::look(&database.of("production")).await.unwrap();
    let seen = seen.expect("a row");
    let (seized, row) = Lease::seize(&database.of("production"), "bob@desk", &seen)
        .await
        .unwrap();
    assert_eq!(
        (&*row.command, &row.progress),
        ("promote", &json!({ "key": "c4n4ry-key" }))
    );
    let error = lease.fence().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    let text = error.to_string();
    for part in [
        "the lease on stage production was lost, so nothing more was changed",
        "`stagelink promote` of bob@desk has it since ",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // It stays lost, also if the other one gives the lease back.
    assert_eq!(seized.release().await.unwrap().held_since, None);
    for error in [
        lease.fence().await.unwrap_err(),
        lease
            .save(&json!({ "key": "c4n4ry-key" }))
            .await
            .unwrap_err(),
        lease.release().await.unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(
            text.contains("was lost earlier") && text.contains("bob@desk"),
            "{text}"
        );
        assert!(!text.contains("c4n4ry"), "{text}");
    }
    assert!(
        Lease::look(&database.of("production"))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn lease_that_was_not_renewed_in_time_is_lost_though_none_has_taken_it() {
    let database = TestDatabase::new().await;
    let lease = taken(&database, "production", "ann@desk").await;
    database.run(EXPIRE).await;
    let text = lease.fence().await.unwrap_err().to_string();
    assert!(
        text.contains("it was not renewed in time, and ended at "),
        "{text}"
    );
    let lease = taken(&database, "production", "ann@desk").await;
    database.run("DELETE FROM stagelink_leases").await;
    let text = lease.save(&json!({})).await.unwrap_err().to_string();
    assert!(
        text.contains("another command took it, and is done with it"),
        "{text}"
    );
    assert!(
        database
            .rows("SELECT stage FROM stagelink_leases")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn lost_session_loses_the_lease_though_its_time_is_not_over() {
    let database = TestDatabase::new().await;
    let lease = taken(&database, "production", "ann@desk").await;
    let end = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name = 'stagelink lease'";
    assert_eq!(database.rows(end).await, ["true"]);
    let error = lease.fence().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(
        error.to_string().contains("nothing more was changed"),
        "{error}"
    );
    let error = lease.fence().await.unwrap_err();
    assert!(error.to_string().contains("was lost earlier"), "{error}");
    let row = Lease::look(&database.of("production")).await.unwrap();
    assert!(!row.expect("a row").is_expired);
}

#[tokio::test]
async fn renewal_moves_the_end_by_itself_and_its_failure_loses_the_lease() {
    let database = TestDatabase::new().await;
    let times = Times {
        validity: Duration::from_secs(60),
        period: Duration::from_millis(50),
        ..Times::default()
    };
    let production = database.of("production");
    let taken = Lease::take_for(times, &production, "ann@desk", "promote", None).await;
    let Ok(Taken::Fresh(lease)) = taken else {
        panic!("{taken:?}");
    };
    let end = async || {
        database
            .rows("SELECT expires_at::text FROM stagelink_leases")
            .await
    };
    let first = end().await;
    until("a renewal", async || end().await != first).await;
    // The renewal finds out, and no call of the holder's is needed.
    database.run(EXPIRE).await;
    until("a loss", async || lease.is_lost()).await;
    // By the clock alone the lease would hold.
    database
        .run("UPDATE stagelink_leases SET expires_at = clock_timestamp() + interval '1 h'")
        .await;
    let text = lease.fence().await.unwrap_err().to_string();
    assert!(text.contains("was lost earlier"), "{text}");
    assert!(format!("{lease:?}").contains("is_lost: true"), "{lease:?}");
}

#[tokio::test]
async fn role_without_rights_and_search_path_without_schema_say_what_to_do() {
    let database = TestDatabase::new().await;
    let role = database.rows("SELECT current_user::text").await.remove(0);
    database
        .run(&format!("ALTER ROLE {role} SET search_path = none"))
        .await;
    let error = refused(&database, "ann@desk", "promote").await;
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(
        error
            .to_string()
            .contains("no schema of the role's search path exists"),
        "{error}"
    );
    // The table of another owner, in a schema in which the role may not create one.
    let schema = format!("s_{role}");
    let name = database
        .rows("SELECT current_database()::text")
        .await
        .remove(0);
    as_superuser(&format!("ALTER ROLE {role} SET search_path = {schema}")).await;
    database
        .run(&format!(
            "CREATE SCHEMA {schema}; REVOKE CREATE ON SCHEMA {schema} FROM {role}"
        ))
        .await;
    let error = refused(&database, "ann@desk", "promote").await;
    let text = error.to_string();
    for part in [
        "could not create the table stagelink_leases",
        &format!("the role may not create tables in the schema {schema}"),
        "GRANT CREATE",
    ] {
        assert!(text.contains(part), "{name}: {text}");
    }
    assert!(!text.contains(CANARY), "{text}");
}

#[tokio::test]
async fn database_that_takes_no_writes_and_table_of_another_make_are_told() {
    let database = TestDatabase::new().await;
    database
        .run("CREATE TABLE stagelink_leases (stage text, token int)")
        .await;
    let error = refused(&database, "ann@desk", "promote").await;
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(
        error
            .to_string()
            .contains("could not take the lease on the stage"),
        "{error}"
    );
    let error = Lease::look(&database.of("production")).await.unwrap_err();
    assert!(
        error.to_string().contains("could not look at the lease"),
        "{error}"
    );
    database.run("DROP TABLE stagelink_leases").await;
    let name = database
        .rows("SELECT current_database()::text")
        .await
        .remove(0);
    as_superuser(&format!(
        "ALTER DATABASE {name} SET default_transaction_read_only = on"
    ))
    .await;
    let error = refused(&database, "ann@desk", "promote").await;
    assert_eq!(error.kind(), ErrorKind::Database);
}

/// The tables are in the schema of the history, whichever role looks.
#[tokio::test]
async fn lease_is_beside_the_history() {
    let database = TestDatabase::new().await;
    let role = database.rows("SELECT current_user::text").await.remove(0);
    database
        .run(&format!(
            "CREATE SCHEMA one; CREATE SCHEMA two; \
             CREATE TABLE two.refinery_schema_history (version int4 PRIMARY KEY, name varchar(255), \
             applied_on varchar(255), checksum varchar(255)); \
             ALTER ROLE {role} SET search_path = one, two"
        ))
        .await;
    let lease = taken(&database, "production", "ann@desk").await;
    let schema = "SELECT schemaname::text FROM pg_tables WHERE tablename = 'stagelink_leases'";
    assert_eq!(database.rows(schema).await, ["two"]);
    assert_eq!(lease.release().await.unwrap().held_since, None);
    // Where the role does not find the history, a second table would make two leases.
    database
        .run(&format!("ALTER ROLE {role} SET search_path = one"))
        .await;
    let error = refused(&database, "ann@desk", "promote").await;
    assert!(
        error
            .to_string()
            .contains("the history of migrations is in the schema two"),
        "{error}"
    );
}
