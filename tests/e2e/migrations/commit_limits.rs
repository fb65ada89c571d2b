//! Deferred constraints: what COMMIT would do of a file has the limits of its statements.

use std::time::Duration;

use stagelink_pipeline::ErrorKind;

use super::{Project, names, options, until};

/// A deferred trigger of table `a`, which does this.
fn deferred(work: &str) -> String {
    format!(
        "CREATE TABLE a (b int); CREATE TABLE busy (); \
         CREATE FUNCTION work() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN {work}; RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER w AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION work()"
    )
}

#[tokio::test]
async fn deferred_trigger_has_the_time_limit_of_the_file() {
    let project = Project::with(&[("V1__a.sql", "INSERT INTO a VALUES (1)")]).await;
    project.run(&deferred("PERFORM pg_sleep(20)")).await;
    let mut options = options();
    options.time_limit = Duration::from_secs(5);
    let error = project.apply_with(&options).await;
    let error = error.expect_err("it takes too long");
    assert_eq!(error.kind(), ErrorKind::Migration, "{error}");
    for part in [
        "V1__a.sql, as its deferred constraints were checked: the transaction took longer than 5 s",
        "it was rolled back, and left nothing",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(project.history().await.is_empty());
    assert!(project.rows("SELECT b::text FROM a").await.is_empty());
}

#[tokio::test]
async fn deferred_trigger_that_meets_a_busy_table_is_tried_again() {
    let project = Project::with(&[("V1__a.sql", "INSERT INTO a VALUES (1)")]).await;
    project.run(&deferred("LOCK TABLE busy")).await;
    let other = project.session().await;
    let locked = other.batch_execute("BEGIN; LOCK TABLE busy").await;
    locked.expect("a lock");
    let releasing = async {
        until("the event", async || project.has_event("the table is busy")).await;
        other.batch_execute("COMMIT").await.expect("an end");
    };
    let options = options();
    let (applied, ()) = tokio::join!(project.apply_with(&options), releasing);
    assert_eq!(names(&applied.expect("it is tried again")), ["V1__a"]);
    assert_eq!(project.rows("SELECT b::text FROM a").await, ["1"]);
}

#[tokio::test]
async fn rows_that_fit_only_at_the_end_of_a_file_are_applied() {
    let project = Project::with(&[(
        "V1__a.sql",
        "CREATE TABLE a (b int PRIMARY KEY); \
         CREATE TABLE c (b int REFERENCES a DEFERRABLE); \
         SET CONSTRAINTS ALL DEFERRED; INSERT INTO c VALUES (1); INSERT INTO a VALUES (1);",
    )])
    .await;
    assert_eq!(project.applied().await, ["V1__a"]);
}
