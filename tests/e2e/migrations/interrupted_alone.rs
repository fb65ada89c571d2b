//! Runs that end while a statement without a transaction waits or runs: what the next run believes.

use std::time::Duration;

use stagelink_pipeline::ErrorKind;

use super::unrecorded::{
    holds, kill_before_the_record, partition_is_half_detached, runner_is_gone, with_table,
};
use super::{Project, until};

const BEGUN: &str =
    "SELECT version::text FROM stagelink_migration_records WHERE applied_at IS NULL";

/// The point at which a run ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// While the server runs the statement.
    InFlight(&'static str),
    /// In the pause after the table was busy.
    InPause,
}

/// Applies, and ends the run as a kill does, while `holder` keeps the statement waiting.
async fn interrupt(project: &Project, holder: &str, end: End) {
    let holder = holds(project, holder).await;
    let seen = async {
        match end {
            End::InFlight(part) => project.wait_for_statement(part).await,
            End::InPause => {
                let busy = async || project.has_event("the table is busy");
                until("the event", busy).await;
            }
        }
    };
    let mut options = super::options();
    if let End::InFlight(_) = end {
        options.lock_timeout = Duration::from_secs(30);
    }
    tokio::select! {
        // The run may end in the moment in which it is seen.
        biased;
        () = seen => {}
        result = project.apply_with(&options) => panic!("it ended: {result:?}"),
    }
    runner_is_gone(project).await;
    holder.batch_execute("ROLLBACK").await.expect("an end");
}

#[tokio::test]
async fn index_of_another_table_is_not_the_work_of_an_interrupted_run() {
    let sql = "-- stagelink: no transaction\nCREATE UNIQUE INDEX by_i ON b (i)";
    for end in [End::InPause, End::InFlight("CREATE UNIQUE INDEX")] {
        let project = Project::with(&[("V1__a.sql", sql)]).await;
        project
            .run("CREATE TABLE a (i int); CREATE TABLE b (i int); CREATE INDEX by_i ON a (i)")
            .await;
        interrupt(&project, "LOCK TABLE b", end).await;
        let (begun, words) = match end {
            End::InPause => (0, "the next run begins it again"),
            End::InFlight(_) => (1, "an earlier run of the file was interrupted"),
        };
        assert_eq!(project.rows(BEGUN).await.len(), begun, "{end:?}");
        // The second answer is that of the first.
        for _ in 0..2 {
            let text = project.refused().await;
            for part in ["\"by_i\" already exists (42P07)", words] {
                assert!(text.contains(part), "{end:?}: {text}");
            }
        }
        assert!(project.history().await.is_empty());
        project.run("DROP INDEX by_i").await;
        assert_eq!(project.applied().await, ["V1__a"]);
        assert!(project.rows(BEGUN).await.is_empty());
    }
}

#[tokio::test]
async fn drop_of_two_tables_is_not_done_since_one_is_missing() {
    let sql = "-- stagelink: no transaction\nDROP TABLE c, cc";
    for end in [End::InPause, End::InFlight("DROP TABLE c, cc")] {
        let project = Project::with(&[("V1__a.sql", sql)]).await;
        project.run("CREATE TABLE c ()").await;
        interrupt(&project, "LOCK TABLE c", end).await;
        let text = project.refused().await;
        assert!(text.contains("\"cc\" does not exist (42P01)"), "{text}");
        assert!(project.history().await.is_empty());
        assert_eq!(project.tables().await, ["c"]);
    }
}

#[tokio::test]
async fn dropped_index_is_looked_at_and_not_the_code_of_a_refusal() {
    let project = with_table(&[("V2__b.sql", "DROP INDEX CONCURRENTLY a_b")]).await;
    let end = End::InFlight("DROP INDEX");
    interrupt(&project, "INSERT INTO a VALUES (1)", end).await;
    let left = "SELECT relname::text FROM pg_class WHERE relname = 'a_b'";
    assert_eq!(project.rows(BEGUN).await, ["2"]);
    assert_eq!(project.rows(left).await, ["a_b"]);
    assert_eq!(project.applied().await, ["V2__b"]);
    assert!(project.rows(left).await.is_empty());
    assert!(!project.has_event("an earlier run has done it"));
}

#[tokio::test]
async fn partition_of_another_name_is_not_ended_with_a_half_detached_one() {
    let sql = "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY";
    let project = with_table(&[("V2__b.sql", sql)]).await;
    let reader = holds(&project, "SELECT FROM p").await;
    let detaching = project.session().await;
    let detach = tokio::spawn(async move {
        let detach = "ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY";
        detaching.batch_execute(detach).await
    });
    partition_is_half_detached(&project).await;
    project
        .run(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE p %' \
             AND datname = current_database()",
        )
        .await;
    let detached = detach.await.expect("it ends");
    detached.expect_err("it is cancelled");
    reader.batch_execute("COMMIT").await.expect("an end");
    let text = project.refused().await;
    assert!(text.contains("already pending detach"), "{text}");
    assert!(!project.has_event("ending the DETACH PARTITION"));
}

#[tokio::test]
async fn index_that_cannot_be_compared_is_known_by_its_beginning() {
    let sql = "CREATE INDEX CONCURRENTLY i ON a (f(a))";
    let project = with_table(&[("V2__b.sql", sql)]).await;
    project
        .run("CREATE FUNCTION f(a) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1.b'")
        .await;
    kill_before_the_record(&project, "INDEX CONCURRENTLY", "INSERT INTO a VALUES (1)").await;
    assert_eq!(project.applied().await, ["V2__b"]);
    assert!(project.has_event("there already and valid"));
    assert!(project.rows(BEGUN).await.is_empty());
    // Without its beginning it may be another one.
    project
        .run("DELETE FROM refinery_schema_history WHERE version = 2")
        .await;
    let text = project.refused().await;
    for part in [
        "the index public.i exists already (CREATE INDEX i ON public.a",
        "could not be compared",
        "function f(a) does not exist (42883)",
        "it was not begun",
    ] {
        assert!(text.contains(part), "{text}");
    }
    project.run("DROP INDEX i").await;
    assert_eq!(project.applied().await, ["V2__b"]);
}

#[tokio::test]
async fn session_that_the_server_ends_outside_of_a_transaction_is_lost() {
    for (sql, part) in [
        ("CREATE INDEX CONCURRENTLY i ON a (b)", "INDEX CONCURRENTLY"),
        (
            "-- stagelink: no transaction\nDO $$ BEGIN LOCK TABLE a; END $$",
            "LOCK TABLE",
        ),
        ("DROP INDEX CONCURRENTLY a_b", "DROP INDEX"),
    ] {
        let project = with_table(&[("V2__b.sql", sql)]).await;
        let holder = holds(&project, "INSERT INTO a VALUES (1)").await;
        let ending = async {
            project.wait_for_statement(part).await;
            end_runner(&project).await;
        };
        let mut options = super::options();
        options.lock_timeout = Duration::from_secs(30);
        let (result, ()) = tokio::join!(project.apply_with(&options), ending);
        let error = result.expect_err("the session is over");
        assert_eq!(error.kind(), ErrorKind::Database, "{error}");
        let words = "the connection was lost while the statement ran without a transaction \
                     (terminating connection due to administrator command (57P01))";
        assert!(error.to_string().contains(words), "{error}");
        holder.batch_execute("COMMIT").await.expect("an end");
        assert_eq!(project.applied().await, ["V2__b"]);
    }
}

#[tokio::test]
async fn session_that_ends_while_it_waits_for_the_lock_has_applied_nothing() {
    let project = with_table(&[("V2__b.sql", "CREATE TABLE b ()")]).await;
    let key = i64::from_be_bytes(*b"stagelin");
    let holder = project.session().await;
    let lock = format!("SELECT pg_advisory_lock({key})");
    holder.batch_execute(&lock).await.expect("a lock");
    let ending = async {
        let waits = async || project.has_event("waiting for another migration");
        until("the event", waits).await;
        end_runner(&project).await;
    };
    let (result, ()) = tokio::join!(project.apply(), ending);
    let text = result.expect_err("the session is over").to_string();
    let words =
        "could not take the lock of migrations, so nothing was applied: run the command again";
    assert!(text.contains(words), "{text}");
    drop(holder);
    assert_eq!(project.applied().await, ["V2__b"]);
}

/// Ends the sessions of the runner, as an administrator does.
async fn end_runner(project: &Project) {
    project
        .run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name LIKE 'stagelink migrate%'",
        )
        .await;
}
