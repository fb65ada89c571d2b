//! Resets of a session's state that fail: requests behind them have no effect, and run on another
//! connection.

use std::time::Duration;

use stagelink::{Database, Error, ErrorKind};
use stagelink_tests::{HerokuFixture, as_superuser, server};

use super::{TENANT, fixture_with_objects, value};
use crate::warm::{link, pid, within};

/// Fixture whose sessions cannot be reset from now on, with a link whose session has a tenant.
async fn fixture_without_resets() -> (HerokuFixture, Database, i32) {
    let mut fixture = fixture_with_objects().await;
    let role = fixture.database.role().to_owned();
    as_superuser(&format!("ALTER ROLE {role} NOSUPERUSER")).await;
    let link = link(&mut fixture, &[]);
    let db = link.client().await.expect("a connection");
    let first = pid(&db).await;
    db.batch_execute("SELECT set_tenant()")
        .await
        .expect("a tenant");
    drop(db);
    let admin = server()
        .await
        .connect_as_superuser_to(&fixture.database)
        .await;
    let revoke = "REVOKE EXECUTE ON FUNCTION pg_advisory_unlock_all() FROM PUBLIC";
    let revoked = admin.expect("a superuser").batch_execute(revoke).await;
    revoked.expect("the right is revoked");
    (fixture, link, first)
}

/// Inserts the session's tenant without the trigger.
const INSERT_TENANT: &str =
    "INSERT INTO kept SELECT coalesce(current_setting('app.tenant', true), '')";

#[tokio::test]
async fn request_behind_a_failed_reset_has_no_effect_and_is_done_on_another_connection() {
    let (fixture, link, first) = fixture_without_resets().await;
    let admin = server()
        .await
        .connect_as_superuser_to(&fixture.database)
        .await;
    let admin = admin.expect("a superuser");
    let table = "CREATE TABLE kept (tenant text); GRANT ALL ON kept TO PUBLIC";
    admin.batch_execute(table).await.expect("a table");

    let written = link.write(|db| async move {
        db.execute_typed(INSERT_TENANT, &[]).await?;
        Ok::<_, Error>(pid(&db).await)
    });
    assert_ne!(written.await.expect("it is written"), first);
    for _ in 0..3 {
        let db = link.client().await.expect("a connection");
        assert_eq!(value(&db, TENANT).await, Ok(Some(String::new())));
        db.batch_execute("SELECT set_tenant()")
            .await
            .expect("a tenant");
    }
    let done = link.transaction(|db| async move {
        Ok::<_, Error>(db.execute_typed(INSERT_TENANT, &[]).await?)
    });
    assert_eq!(done.await.expect("it is committed"), 1);
    let rows = admin
        .query("SELECT tenant FROM kept", &[])
        .await
        .expect("rows");
    let tenants: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(tenants, ["", ""], "once each, and by no other tenant");
}

#[tokio::test]
async fn handlers_own_client_sees_a_failed_reset_as_a_lost_connection() {
    let (_fixture, link, first) = fixture_without_resets().await;
    let db = link.client().await.expect("a connection");
    let error = db
        .query_typed(TENANT, &[])
        .await
        .expect_err("a failed reset");
    let error = Error::from(error);
    assert_eq!(
        error.kind(),
        ErrorKind::DatabaseUnreachable,
        "{}",
        error.report()
    );
    assert!(
        error
            .report()
            .to_string()
            .contains("still had settings of an earlier request")
    );
    drop(db);
    let db = link.client().await.expect("a connection");
    assert_ne!(pid(&db).await, first);
}

/// Session changes by which the next reset fails, or by which one of its statements is another.
const SABOTAGE: [(&str, &str); 2] = [
    (
        "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
        "no request has taken effect",
    ),
    (
        "DO $$ DECLARE reset text; BEGIN
            SELECT name INTO reset FROM pg_prepared_statements WHERE statement = 'RESET ALL';
            EXECUTE 'DEALLOCATE ' || reset; EXECUTE 'PREPARE ' || reset || ' AS SELECT 1';
        END $$",
        "a write may have",
    ),
];

#[tokio::test]
async fn requests_behind_a_sabotaged_reset_fail_and_later_ones_see_nothing_of_it() {
    for (change, effect) in SABOTAGE {
        let mut fixture = fixture_with_objects().await;
        let link = within(&link(&mut fixture, &[]), Duration::from_secs(60));
        let db = link.client().await.expect("a connection");
        let table = db.batch_execute("CREATE TABLE kept (tenant text)").await;
        table.expect("a table");
        drop(db);
        // The reset of the first loan prepares what that of the next executes.
        for statement in ["SELECT 1", change] {
            let db = link.client().await.expect("a connection");
            db.batch_execute(statement).await.expect("it is executed");
            let tenant = db.batch_execute("SELECT set_tenant()").await;
            tenant.expect("a tenant");
        }
        // Two requests in one flight, of which the second is behind the Sync of the first.
        let db = link.client().await.expect("a connection");
        let insert = || db.execute_typed(INSERT_TENANT, &[]);
        let (first, second) = tokio::join!(insert(), insert());
        first.expect_err("the session cannot be reset");
        second.expect_err("nor for a second request");
        drop(db);
        for _ in 0..2 {
            let tenant = link.read(|db| async move {
                let row = db.query_typed_one(TENANT, &[]).await?;
                Ok::<String, Error>(row.get(0))
            });
            assert_eq!(tenant.await.expect("a row"), "", "{change}");
        }
        let count = link.read(|db| async move {
            let sql = "SELECT count(*) FROM kept";
            Ok::<i64, Error>(db.query_typed_one(sql, &[]).await?.get(0))
        });
        let count = count.await.expect("a row");
        assert!(
            count == 0 || effect.starts_with("a write"),
            "{change}: {effect}"
        );
    }
}
