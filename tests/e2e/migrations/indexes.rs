//! Indexes that are created CONCURRENTLY: waits, leftovers, and what counts as applied.

use std::time::Duration;

use stagelink_pipeline::ErrorKind;

use super::{Project, options, until, wait_for_statement};

const INDEX: &str = "CREATE UNIQUE INDEX CONCURRENTLY a_b ON a (b) WHERE b > 0;";

async fn with_table(files: &[(&str, &str)]) -> Project {
    let project = Project::with(files).await;
    project
        .run("CREATE TABLE a (b int, c int); INSERT INTO a SELECT n, n FROM generate_series(1, 100) n")
        .await;
    project
}

async fn indexes(project: &Project) -> Vec<String> {
    project
        .rows(
            "SELECT c.relname || CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END \
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid = 'a'::regclass ORDER BY 1",
        )
        .await
}

#[tokio::test]
async fn index_waits_for_older_transactions_beyond_the_lock_time_out_and_says_so() {
    let project = with_table(&[("V1__a.sql", INDEX)]).await;
    let long = project.session().await;
    let begin = "SET application_name = 'writer'; BEGIN; INSERT INTO a VALUES (1000)";
    long.batch_execute(begin).await.expect("a row");
    let ending = async {
        until("the event", async || {
            project.has_event("waiting for session")
        })
        .await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        long.batch_execute("COMMIT").await.expect("an end");
    };
    let (applied, ()) = tokio::join!(project.applied(), ending);
    assert_eq!(applied, ["V1__a"]);
    assert!(
        project.has_event("V1__a: waiting for session"),
        "{:?}",
        project.events()
    );
    assert!(
        project.has_event("(writer, idle in transaction"),
        "{:?}",
        project.events()
    );
    assert_eq!(indexes(&project).await, ["a_b"]);
}

#[tokio::test]
async fn failed_index_says_what_it_left_and_the_next_run_mends_it() {
    let project = with_table(&[("V1__a.sql", INDEX)]).await;
    project.run("INSERT INTO a VALUES (1)").await;
    let text = project.refused().await;
    for part in [
        "V1__a.sql line 1: could not create unique index \"a_b\" (23505)",
        "it left the invalid index public.a_b",
        "`DROP INDEX CONCURRENTLY public.a_b` drops it now",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(indexes(&project).await, ["a_b invalid"]);
    project
        .run("DELETE FROM a WHERE ctid = (SELECT min(ctid) FROM a WHERE b = 1)")
        .await;
    assert_eq!(project.applied().await, ["V1__a"]);
    assert!(
        project.has_event("dropping the invalid index public.a_b"),
        "{:?}",
        project.events()
    );
    assert_eq!(indexes(&project).await, ["a_b"]);
}

#[tokio::test]
async fn valid_index_of_the_same_definition_counts_as_applied() {
    for existing in [
        INDEX,
        "CREATE UNIQUE INDEX a_b ON public.a USING btree (b) WHERE (b > 0)",
    ] {
        let project = with_table(&[("V1__a.sql", INDEX)]).await;
        project.run(existing).await;
        assert_eq!(project.applied().await, ["V1__a"]);
        assert!(
            project.has_event("there already and valid"),
            "{:?}",
            project.events()
        );
        assert_eq!(project.history().await, ["V1__a"]);
    }
}

#[tokio::test]
async fn index_of_the_name_with_another_definition_is_left_alone() {
    for (existing, words) in [
        (
            "CREATE INDEX a_b ON a (b) WHERE b > 0",
            "another definition",
        ),
        (
            "CREATE UNIQUE INDEX a_b ON a (c) WHERE b > 0",
            "another definition",
        ),
        ("CREATE UNIQUE INDEX a_b ON a (b)", "another definition"),
        (
            "CREATE TABLE other (b int); CREATE INDEX a_b ON other (b)",
            "on another table, other",
        ),
    ] {
        let if_not_exists = INDEX.replace("CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS");
        for sql in [INDEX, &if_not_exists] {
            let project = with_table(&[("V1__a.sql", sql)]).await;
            project.run(existing).await;
            let text = project.refused().await;
            assert!(text.contains(words), "{text}");
            assert!(text.contains("it was not begun"), "{text}");
            assert!(project.history().await.is_empty());
            let there = "SELECT 'a_b' WHERE to_regclass('a_b') IS NOT NULL";
            assert_eq!(project.rows(there).await, ["a_b"]);
        }
    }
}

#[tokio::test]
async fn invalid_index_of_another_table_or_name_is_left_alone() {
    let project = with_table(&[("V1__a.sql", INDEX)]).await;
    project
        .run(
            "INSERT INTO a VALUES (1); CREATE SCHEMA other; CREATE TABLE other.a (b int); \
                 INSERT INTO other.a VALUES (1), (1)",
        )
        .await;
    for sql in [
        "CREATE UNIQUE INDEX CONCURRENTLY a_other ON a (b)",
        "CREATE UNIQUE INDEX CONCURRENTLY a_b ON other.a (b)",
    ] {
        let session = project.session().await;
        session
            .batch_execute(sql)
            .await
            .expect_err("rows that are equal");
    }
    project
        .run("DELETE FROM a WHERE ctid = (SELECT min(ctid) FROM a WHERE b = 1)")
        .await;
    assert_eq!(project.applied().await, ["V1__a"]);
    assert_eq!(indexes(&project).await, ["a_b", "a_other invalid"]);
    let other = "SELECT 'there' WHERE to_regclass('other.a_b') IS NOT NULL";
    assert_eq!(project.rows(other).await, ["there"]);
}

#[tokio::test]
async fn index_that_another_session_is_building_is_waited_for() {
    let project = with_table(&[("V1__a.sql", INDEX)]).await;
    let long = project.session().await;
    long.batch_execute("BEGIN; INSERT INTO a VALUES (1000)")
        .await
        .expect("a row");
    let builder = project.session().await;
    let building = tokio::spawn(async move {
        builder.batch_execute(INDEX).await.expect("an index");
    });
    until("the index", async || !indexes(&project).await.is_empty()).await;
    let mut options = options();
    options.wait = Duration::from_secs(1);
    let error = project
        .apply_with(&options)
        .await
        .expect_err("it is being built");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(
        error.to_string().contains("is being built by session"),
        "{error}"
    );
    assert_eq!(indexes(&project).await, ["a_b invalid"]);
    let ending = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        long.batch_execute("COMMIT").await.expect("an end");
    };
    let (applied, ()) = tokio::join!(project.applied(), ending);
    building.await.expect("it ends well");
    assert_eq!(applied, ["V1__a"]);
    assert!(
        project.has_event("there already and valid"),
        "{:?}",
        project.events()
    );
}

#[tokio::test]
async fn limits_of_the_role_do_not_break_an_index() {
    let project = with_table(&[("V1__a.sql", INDEX)]).await;
    // The limits do not hold for the test's own sessions.
    let (long, watcher) = (project.session().await, project.session().await);
    let role = project.database.role();
    stagelink_tests::as_superuser(&format!(
        "ALTER ROLE {role} SET statement_timeout = '500ms'; ALTER ROLE {role} SET lock_timeout = '500ms'"
    ))
    .await;
    long.batch_execute("BEGIN; INSERT INTO a VALUES (1000)")
        .await
        .expect("a row");
    let ending = async {
        wait_for_statement(&watcher, "INDEX CONCURRENTLY").await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        long.batch_execute("COMMIT").await.expect("an end");
    };
    let (applied, ()) = tokio::join!(project.applied(), ending);
    assert_eq!(applied, ["V1__a"]);
}
