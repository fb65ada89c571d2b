//! Statements without a transaction that were done, or begun, and not recorded.

use std::time::Duration;

use stagelink::tokio_postgres::Client;
use stagelink_pipeline::{MigrationOptions, widen_history};
use stagelink_tests::{proxy, through};

use super::{Project, until};

const HALF_DETACHED: &str = "SELECT 'pending' FROM pg_inherits WHERE inhdetachpending";

pub(super) async fn with_table(files: &[(&str, &str)]) -> Project {
    let project = Project::with(&[(
        "V1__a.sql",
        "CREATE TABLE a (b int, c text); CREATE INDEX a_b ON a (b); \
         CREATE TABLE p (k int) PARTITION BY LIST (k); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); \
         CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); \
         INSERT INTO p VALUES (1), (2);",
    )])
    .await;
    project.applied().await;
    for (name, sql) in files {
        project.write(name, sql);
    }
    project
}

/// Keeps the statement of a file waiting.
pub(super) async fn holds(project: &Project, sql: &str) -> Client {
    let session = project.session().await;
    let begun = session.batch_execute(&format!("BEGIN; {sql}")).await;
    begun.expect("a transaction");
    session
}

/// Waits until the server has noticed that the command is gone.
pub(super) async fn runner_is_gone(project: &Project) {
    until("the end of the session", async || {
        let running = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name LIKE 'stagelink migrate%'";
        project.rows(running).await.is_empty()
    })
    .await;
}

/// Waits until a DETACH PARTITION has done its first half.
pub(super) async fn partition_is_half_detached(project: &Project) {
    until("the first half", async || {
        !project.rows(HALF_DETACHED).await.is_empty()
    })
    .await;
}

/// Runs the command, and kills it after the statement, whose text has `part`, and before its record.
pub(super) async fn kill_before_the_record(project: &Project, part: &str, holder: &str) {
    let holder = holds(project, holder).await;
    let arguments = ["staging", "--yes", "--after"];
    let mut child = project
        .command(&arguments)
        .await
        .spawn()
        .expect("it starts");
    project.wait_for_statement(part).await;
    let locked = holds(project, "LOCK refinery_schema_history IN SHARE MODE").await;
    holder.batch_execute("COMMIT").await.expect("an end");
    project.wait_for_statement("WITH history").await;
    child.kill().await.expect("it is killed");
    runner_is_gone(project).await;
    locked.batch_execute("COMMIT").await.expect("an end");
    assert_eq!(project.history().await, ["V1__a"]);
}

#[tokio::test]
async fn dropped_index_that_was_not_recorded_counts_as_applied() {
    let project = with_table(&[("V2__b.sql", "DROP INDEX CONCURRENTLY a_b")]).await;
    kill_before_the_record(&project, "DROP INDEX", "INSERT INTO a VALUES (1)").await;
    assert_eq!(project.applied().await, ["V2__b"]);
    assert!(
        project.has_event("an earlier run has done it, and did not record it"),
        "{:?}",
        project.events()
    );
    assert_eq!(project.history().await, ["V1__a", "V2__b"]);
    let begun = "SELECT version::text FROM stagelink_migration_records WHERE applied_at IS NULL";
    assert!(project.rows(begun).await.is_empty());
}

#[tokio::test]
async fn index_that_never_was_is_not_taken_for_dropped() {
    let project = with_table(&[("V2__b.sql", "DROP INDEX CONCURRENTLY a_bb")]).await;
    for _ in 0..2 {
        let text = project.refused().await;
        assert!(text.contains("\"a_bb\" does not exist (42704)"), "{text}");
        assert!(text.contains("add IF EXISTS"), "{text}");
    }
    // An interrupted run of another text of the file says nothing about this one.
    project
        .run(
            "INSERT INTO stagelink_migration_records (version, name, checksum, class, \
             overridden_rules, reasons, waiting, applied_by, role) \
             VALUES (2, 'b', '1', 'after', '{}', '{}', '{}', '', '')",
        )
        .await;
    let text = project.refused().await;
    assert!(text.contains("does not exist"), "{text}");
}

#[tokio::test]
async fn detached_partition_that_was_not_recorded_counts_as_applied() {
    let sql = "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY";
    let project = with_table(&[("V2__b.sql", sql)]).await;
    kill_before_the_record(&project, "DETACH", "SELECT FROM p").await;
    assert_eq!(project.applied().await, ["V2__b"]);
    assert!(
        project.has_event("an earlier run has done it"),
        "{:?}",
        project.events()
    );
}

#[tokio::test]
async fn partition_that_is_half_detached_is_detached_to_the_end() {
    let sql = "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY";
    let project = with_table(&[("V2__b.sql", sql)]).await;
    let reader = holds(&project, "SELECT FROM p").await;
    let mut child = project
        .command(&["staging", "--yes", "--after"])
        .await
        .spawn()
        .expect("it starts");
    project.wait_for_statement("DETACH").await;
    partition_is_half_detached(&project).await;
    child.kill().await.expect("it is killed");
    runner_is_gone(&project).await;
    reader.batch_execute("COMMIT").await.expect("an end");
    assert_eq!(project.rows(HALF_DETACHED).await, ["pending"]);
    assert_eq!(project.applied().await, ["V2__b"]);
    assert!(
        project.has_event("ending the DETACH PARTITION of an earlier run"),
        "{:?}",
        project.events()
    );
    let children =
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'p'::regclass";
    assert_eq!(project.rows(children).await, ["p2"]);
}

#[tokio::test]
async fn leftovers_of_an_interrupted_reindex_are_dropped_and_those_of_others_stay() {
    let project = with_table(&[("V2__b.sql", "REINDEX TABLE CONCURRENTLY a")]).await;
    let writer = holds(&project, "INSERT INTO a VALUES (1)").await;
    let mut child = project
        .command(&["staging", "--yes"])
        .await
        .spawn()
        .expect("it starts");
    project.wait_for_statement("REINDEX").await;
    // The index of the long values stays: only a superuser may drop it.
    let invalid = "SELECT relname::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid \
                   WHERE NOT indisvalid AND relnamespace = 'public'::regnamespace ORDER BY 1";
    until("the new index", async || {
        !project.rows(invalid).await.is_empty()
    })
    .await;
    child.kill().await.expect("it is killed");
    runner_is_gone(&project).await;
    writer.batch_execute("COMMIT").await.expect("an end");
    let left = project.rows(invalid).await;
    assert!(left.contains(&"a_b_ccnew".to_owned()), "{left:?}");
    // The run did not make an invalid index of another name.
    project.run("INSERT INTO a VALUES (1, 'x'), (2, 'x')").await;
    let other = project.session().await;
    let built = other
        .batch_execute("CREATE UNIQUE INDEX CONCURRENTLY theirs ON a (c)")
        .await;
    built.expect_err("the rows are equal");
    assert_eq!(project.applied().await, ["V2__b"]);
    assert!(
        project.has_event("dropping the invalid index public.a_b_ccnew"),
        "{:?}",
        project.events()
    );
    assert_eq!(project.rows(invalid).await, ["theirs"]);
}

#[tokio::test]
async fn name_of_the_index_that_is_taken_by_a_table_is_refused() {
    let sql = "CREATE INDEX CONCURRENTLY IF NOT EXISTS p1 ON a (b)";
    let project = with_table(&[("V2__b.sql", sql)]).await;
    let text = project.refused().await;
    assert!(
        text.contains("the name public.p1 is taken by a table, a view or a sequence"),
        "{text}"
    );
    assert_eq!(project.history().await, ["V1__a"]);
}

#[tokio::test]
async fn index_whose_expressions_name_the_table_is_known_again() {
    let sql = "CREATE INDEX CONCURRENTLY i ON a (lower(a.c), (public.a.b + 1)) WHERE a.b > 0";
    let project = with_table(&[
        ("V2__b.sql", sql),
        ("V3__c.sql", "CREATE TABLE \"order\" (b int)"),
        (
            "V4__d.sql",
            "CREATE INDEX CONCURRENTLY o ON \"order\" ((\"order\".b + 1))",
        ),
    ])
    .await;
    project.applied().await;
    project
        .run("DELETE FROM refinery_schema_history WHERE version IN (2, 4)")
        .await;
    let mut options = super::options();
    options.allowed = vec![stagelink_pipeline::Disagreement::Older];
    project.apply_with(&options).await.expect("they are known");
    assert!(project.has_event("the index public.i is there already and valid"));
    // Another expression is another index.
    project
        .run("DELETE FROM refinery_schema_history WHERE version = 4")
        .await;
    project.write(
        "V4__d.sql",
        "CREATE INDEX CONCURRENTLY o ON \"order\" ((\"order\".b + 2))",
    );
    let text = project.refused().await;
    assert!(text.contains("exists with another definition"), "{text}");
}

#[tokio::test]
async fn advisory_locks_of_a_file_end_with_it() {
    let held = "INSERT INTO held SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
                AND pid = pg_backend_pid()";
    let project = Project::with(&[
        (
            "V1__a.sql",
            "CREATE TABLE held (n int); SELECT pg_advisory_lock(-7), pg_advisory_lock(-7), \
             pg_advisory_lock_shared(8), pg_advisory_lock(-1, 2), pg_advisory_lock_shared(1, -2);",
        ),
        ("V2__b.sql", held),
    ])
    .await;
    project.applied().await;
    assert_eq!(project.rows("SELECT n::text FROM held").await, ["1"]);
}

#[tokio::test]
async fn commit_of_a_widening_that_is_lost_is_told_as_in_doubt() {
    let mut project = with_table(&[]).await;
    project
        .run(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_sleep(20); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER w AFTER UPDATE ON refinery_schema_history \
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()",
        )
        .await;
    let proxy = proxy().await;
    project.set_url(through(&proxy, &project.database.url()));
    let (database, folder) = (project.stage(), project.files().expect("a folder"));
    let options = MigrationOptions::default();
    let cutting = async {
        project.wait_for_statement("COMMIT").await;
        proxy.cut();
    };
    let (result, ()) = tokio::join!(
        widen_history(&database, &folder, &options, &|_| ()),
        cutting
    );
    let text = result.expect_err("the connection is lost").to_string();
    assert!(
        text.contains("may be widened or not, since the connection was lost during the commit"),
        "{text}"
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
}
