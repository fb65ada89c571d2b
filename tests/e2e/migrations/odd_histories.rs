//! Histories that no runner leaves: hidden by a search path, or changed by hand.

use stagelink_pipeline::ErrorKind;

use super::Project;

/// A project whose first migration is applied, with a file that can be applied twice.
async fn applied_project() -> Project {
    let project = Project::with(&[(
        "V1__a.sql",
        "CREATE SCHEMA IF NOT EXISTS app; CREATE TABLE IF NOT EXISTS app.a (b int); \
         INSERT INTO app.a VALUES (1)",
    )])
    .await;
    assert_eq!(project.applied().await, ["V1__a"]);
    project
}

#[tokio::test]
async fn history_that_the_search_path_hides_stops_the_run() {
    let project = applied_project().await;
    project
        .run("ALTER ROLE CURRENT_USER SET search_path = app")
        .await;
    project.write("V2__b.sql", "CREATE TABLE b ()");
    let error = project.apply().await.expect_err("the history is hidden");
    assert_eq!(error.kind(), ErrorKind::Migration);
    let text = error.to_string();
    for part in [
        "the history of migrations is in the schema public",
        "search path (app) does not find it",
        "create one for this project",
    ] {
        assert!(text.contains(part), "{text}");
    }
    for command in [
        &["status", "--json"][..],
        &["migrate", "drift", "staging"],
        &["migrate", "widen-history", "staging", "--yes"],
    ] {
        let output = project.stagelink(command[0], &command[1..]).await;
        let output = { output }.output().await.expect("the command runs");
        let shown = [&*output.stdout, &*output.stderr].concat();
        let shown = String::from_utf8_lossy(&shown);
        let is_of_settings = command[0] == "status";
        assert!(
            is_of_settings || shown.contains("in the schema public"),
            "{command:?}: {shown}"
        );
    }
    let count = "SELECT count(*)::text FROM app.a";
    assert_eq!(project.rows(count).await, ["1"]);
    let histories = "SELECT count(*)::text FROM pg_class WHERE relname = 'refinery_schema_history'";
    assert_eq!(project.rows(histories).await, ["1"]);
    project
        .run("ALTER ROLE CURRENT_USER SET search_path = app, public")
        .await;
    assert_eq!(project.applied().await, ["V2__b"]);
}

#[tokio::test]
async fn migration_that_changes_the_search_path_is_not_applied_twice() {
    let project = Project::with(&[(
        "V1__a.sql",
        "CREATE SCHEMA IF NOT EXISTS app; ALTER ROLE CURRENT_USER SET search_path = app",
    )])
    .await;
    assert_eq!(project.applied().await, ["V1__a"]);
    let text = project.refused().await;
    assert!(text.contains("in the schema public"), "{text}");
}

#[tokio::test]
async fn history_of_another_project_does_not_stop_one_with_its_own() {
    let project = applied_project().await;
    project
        .run(
            "ALTER ROLE CURRENT_USER SET search_path = app; CREATE TABLE app.refinery_schema_history \
             (version int4 PRIMARY KEY, name varchar(255), applied_on varchar(255), \
             checksum varchar(255))",
        )
        .await;
    assert_eq!(project.applied().await, ["V1__a"]);
    assert!(project.applied().await.is_empty());
}

#[tokio::test]
async fn rows_that_no_runner_writes_are_named() {
    let project = applied_project().await;
    for (change, undo, words) in [
        (
            "ALTER TABLE refinery_schema_history DROP CONSTRAINT refinery_schema_history_pkey, \
             ALTER COLUMN version DROP NOT NULL; \
             INSERT INTO refinery_schema_history (name) VALUES ('odd')",
            "DELETE FROM refinery_schema_history WHERE version IS NULL",
            "a row of the table public.refinery_schema_history (its name is `odd`) has no version",
        ),
        (
            "ALTER TABLE stagelink_migration_records ALTER waiting DROP NOT NULL; \
             UPDATE stagelink_migration_records SET waiting = NULL",
            "UPDATE stagelink_migration_records SET waiting = '{}'",
            "the row with the id 1 of the table public.stagelink_migration_records",
        ),
        (
            "ALTER TABLE refinery_schema_history ALTER version TYPE text",
            "ALTER TABLE refinery_schema_history ALTER version TYPE int8 USING version::int8",
            "has a column version of the type text, where a history of migrations has int4 or int8",
        ),
        (
            "ALTER TABLE refinery_schema_history RENAME version TO number",
            "ALTER TABLE refinery_schema_history RENAME number TO version",
            "the table public.refinery_schema_history has no column version",
        ),
    ] {
        project.run(change).await;
        let error = project.apply().await.expect_err("it is no history");
        assert!(error.to_string().contains(words), "{error}");
        let output = project.command(&["staging", "--plan", "--json"]).await;
        let output = { output }.output().await.expect("the command runs");
        assert_eq!(output.status.code(), Some(1), "{change}");
        project.run(undo).await;
        assert!(project.applied().await.is_empty());
    }
}

#[tokio::test]
async fn rows_without_a_time_and_rows_that_are_there_twice_are_understood() {
    let project = applied_project().await;
    project
        .run(
            "ALTER TABLE refinery_schema_history DROP CONSTRAINT refinery_schema_history_pkey; \
             INSERT INTO refinery_schema_history TABLE refinery_schema_history; \
             UPDATE refinery_schema_history SET applied_on = NULL",
        )
        .await;
    let output = project.command(&["staging", "--yes"]).await;
    let output = { output }.output().await.expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("stage staging has the only migration"),
        "{text}"
    );
    project
        .run("ALTER TABLE refinery_schema_history ALTER applied_on TYPE timestamptz USING NULL")
        .await;
    assert!(project.applied().await.is_empty());
    project.write("V1__a.sql", "SELECT 1");
    let text = project.refused().await;
    let words =
        "was applied at a time that the history does not say, and V1__a.sql was edited since";
    assert!(text.contains(words), "{text}");
}
