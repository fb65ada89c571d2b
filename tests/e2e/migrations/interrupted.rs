//! Runs that are killed, or lose their connection, in the middle of each kind of file.

use std::time::{Duration, Instant};

use stagelink_pipeline::ErrorKind;
use stagelink_tests::{proxy, through};

use super::{Project, until};

/// The time in which the server notices that a client is gone, and slack.
const NOTICED: Duration = Duration::from_secs(50);

/// The arguments that let a file run code.
const RUNS_CODE: &[&str] = &["--override", "runs-code", "--reason", "a test"];

/// Starts the command, and kills it while a statement that contains `part` runs.
async fn kill_during(project: &Project, arguments: &[&str], part: &str) {
    let arguments = [&["staging", "--yes"], arguments].concat();
    let command = project.command(&arguments).await.spawn();
    let mut child = command.expect("it starts");
    project.wait_for_statement(part).await;
    child.kill().await.expect("it is killed");
}

#[tokio::test]
async fn killed_transaction_leaves_nothing_and_the_next_run_does_all() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a ()"),
        (
            "V2__b.sql",
            "CREATE TABLE b (); SELECT pg_sleep(s) FROM pauses; CREATE TABLE c ();",
        ),
        ("V3__c.sql", "CREATE TABLE d ()"),
    ])
    .await;
    project
        .run("CREATE TABLE pauses AS SELECT 600::float8 AS s")
        .await;
    kill_during(&project, RUNS_CODE, "pg_sleep").await;
    assert_eq!(project.history().await, ["V1__a"]);
    assert_eq!(project.tables().await, ["a", "pauses"]);
    project.run("UPDATE pauses SET s = 0").await;
    let started = Instant::now();
    assert_eq!(project.applied().await, ["V2__b", "V3__c"]);
    println!("the next run took {:?}", started.elapsed());
    assert!(started.elapsed() < NOTICED, "{:?}", started.elapsed());
}

#[tokio::test]
async fn killed_index_is_mended_by_the_next_run() {
    let project = Project::with(&[
        (
            "V1__a.sql",
            "CREATE TABLE a (b int); INSERT INTO a VALUES (1)",
        ),
        ("V2__b.sql", "CREATE INDEX CONCURRENTLY a_b ON a (b)"),
    ])
    .await;
    project.write("V2__b.sql", "SELECT 1");
    project.remove("V2__b.sql");
    assert_eq!(project.applied().await, ["V1__a"]);
    project.write("V2__b.sql", "CREATE INDEX CONCURRENTLY a_b ON a (b)");
    let long = project.session().await;
    long.batch_execute("BEGIN; INSERT INTO a VALUES (2)")
        .await
        .expect("a row");
    kill_during(&project, &[], "INDEX CONCURRENTLY").await;
    let invalid = "SELECT 'invalid' FROM pg_index WHERE NOT indisvalid";
    until("the end of the session", async || {
        let running = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name LIKE 'stagelink migrate%'";
        project.rows(running).await.is_empty()
    })
    .await;
    assert_eq!(project.rows(invalid).await, ["invalid"]);
    long.batch_execute("COMMIT").await.expect("an end");
    assert_eq!(project.applied().await, ["V2__b"]);
    assert!(
        project.has_event("dropping the invalid index"),
        "{:?}",
        project.events()
    );
    assert!(project.rows(invalid).await.is_empty());
}

#[tokio::test]
async fn run_that_is_killed_after_the_index_and_before_the_record_counts_it_as_applied() {
    let project = Project::with(&[("V1__a.sql", "CREATE INDEX CONCURRENTLY a_b ON a (b)")]).await;
    project.run("CREATE TABLE a (b int)").await;
    // A record that waits for this lock is one that is not made.
    project.applied().await;
    project.run("DELETE FROM refinery_schema_history").await;
    assert_eq!(project.applied().await, ["V1__a"]);
    assert!(
        project.has_event("there already and valid"),
        "{:?}",
        project.events()
    );
}

#[tokio::test]
async fn killed_statement_without_a_transaction_is_begun_again() {
    let project = Project::with(&[(
        "V1__a.sql",
        "-- stagelink: no transaction\nSELECT pg_sleep(s) FROM pauses;",
    )])
    .await;
    project
        .run("CREATE TABLE pauses AS SELECT 600::float8 AS s")
        .await;
    kill_during(&project, RUNS_CODE, "pg_sleep").await;
    assert!(project.history().await.is_empty());
    project.run("UPDATE pauses SET s = 0").await;
    let started = Instant::now();
    assert_eq!(project.applied().await, ["V1__a"]);
    assert!(started.elapsed() < NOTICED, "{:?}", started.elapsed());
}

#[tokio::test]
async fn lost_connection_is_reported_and_the_next_run_goes_on() {
    for (sql, words) in [
        (
            "CREATE TABLE b (); SELECT pg_sleep(s) FROM pauses;",
            "the connection was lost, and the server rolls it back",
        ),
        (
            "-- stagelink: no transaction\nSELECT pg_sleep(s) FROM pauses;",
            "the connection was lost while the statement ran without a transaction",
        ),
    ] {
        let mut project = Project::with(&[("V1__a.sql", sql)]).await;
        project
            .run("CREATE TABLE pauses AS SELECT 600::float8 AS s")
            .await;
        let proxy = proxy().await;
        project.set_url(through(&proxy, &project.database.url()));
        let cutting = async {
            project.wait_for_statement("pg_sleep").await;
            proxy.cut();
        };
        let (result, ()) = tokio::join!(project.apply(), cutting);
        let error = result.expect_err("the connection is lost");
        assert_eq!(error.kind(), ErrorKind::Database, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        project.run("UPDATE pauses SET s = 0").await;
        assert_eq!(project.applied().await, ["V1__a"]);
    }
}

#[tokio::test]
async fn session_that_the_server_ends_is_reported_and_the_next_run_goes_on() {
    let project = Project::with(&[(
        "V1__a.sql",
        "CREATE TABLE b (); SELECT pg_sleep(s) FROM pauses;",
    )])
    .await;
    project
        .run("CREATE TABLE pauses AS SELECT 600::float8 AS s")
        .await;
    let ending = async {
        project.wait_for_statement("pg_sleep").await;
        stagelink_tests::as_superuser(&stagelink_tests::end_sessions(project.database.role()))
            .await;
    };
    let (result, ()) = tokio::join!(project.apply(), ending);
    let error = result.expect_err("the session is over");
    assert!(error.to_string().contains("V1__a.sql"), "{error}");
    project.run("UPDATE pauses SET s = 0").await;
    assert_eq!(project.applied().await, ["V1__a"]);
}

#[tokio::test]
async fn answer_that_is_lost_on_its_way_does_not_hang_the_run() {
    let mut project = Project::with(&[("V1__a.sql", "SELECT pg_sleep(4)")]).await;
    let proxy = proxy().await;
    project.set_url(through(&proxy, &project.database.url()));
    let losing = async {
        project.wait_for_statement("pg_sleep").await;
        proxy.lose();
    };
    let started = Instant::now();
    let (result, ()) = tokio::join!(
        async {
            let mut options = super::options();
            options.time_limit = Duration::from_secs(5);
            project.apply_with(&options).await
        },
        losing
    );
    let error = result.expect_err("no answer");
    println!("{error} after {:?}", started.elapsed());
    assert_eq!(error.kind(), ErrorKind::Database, "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(45),
        "{:?}",
        started.elapsed()
    );
}
