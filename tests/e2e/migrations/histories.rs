//! Histories: refinery's and ours read each other's, and what does not agree is refused.

use refinery::{Runner, load_sql_migrations};
use serde_json::Value;
use stagelink_pipeline::{Disagreement, ErrorKind, WidenedHistory, widen_history};

use super::enforcement::{assert_parts, succeeds};
use super::{Project, names, options};

/// Applies the project's files with the real refinery.
async fn refinery(project: &Project) -> Result<Vec<String>, String> {
    let files = load_sql_migrations(project.root().join("migrations")).expect("files");
    let mut session = project.session().await;
    let report = Runner::new(&files).run_async(&mut session).await;
    let report = report.map_err(|error| error.to_string())?;
    let applied = report.applied_migrations().iter();
    Ok(applied.map(ToString::to_string).collect())
}

#[tokio::test]
async fn project_of_refinerys_goes_on_with_ours_and_back() {
    let project = Project::with(&[
        ("V1__first.sql", "CREATE TABLE a (b text DEFAULT 'é');\n"),
        ("V2__größe.sql", "CREATE TABLE b ();\r\n"),
    ])
    .await;
    let first = ["V1__first", "V2__größe"];
    assert_eq!(refinery(&project).await.expect("it applies"), first);
    assert!(project.applied().await.is_empty());
    project.write("V3__ours.sql", "CREATE TABLE c ()");
    assert_eq!(project.applied().await, ["V3__ours"]);
    project.write("V4__theirs.sql", "CREATE TABLE d ()");
    assert_eq!(
        refinery(&project).await.expect("it goes on"),
        ["V4__theirs"]
    );
    assert!(project.applied().await.is_empty());
    project.write("V5__index.sql", "CREATE INDEX CONCURRENTLY a_b ON a (b)");
    assert_eq!(project.applied().await, ["V5__index"]);
    assert!(refinery(&project).await.expect("it goes on").is_empty());
    let columns = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attnum > 0 \
                   AND attrelid = 'refinery_schema_history'::regclass ORDER BY attnum";
    let expected = [
        "integer",
        "character varying(255)",
        "character varying(255)",
    ];
    assert_eq!(project.rows(columns).await[..3], expected);
}

#[tokio::test]
async fn plan_shows_the_recorded_class_of_what_is_applied_and_says_where_there_is_none() {
    let project = Project::with(&[("V1__first.sql", "CREATE TABLE a (b text, c int);")]).await;
    refinery(&project).await.expect("it applies");
    project.write("V2__add.sql", "ALTER TABLE a ADD COLUMN d int;");
    succeeds(&project, &["staging", "--yes"]).await;
    project.write("V3__drop.sql", "ALTER TABLE a DROP COLUMN c;");
    let reason = ["--override", "ban-drop-column", "--reason", "it is unused"];
    succeeds(&project, &[&["staging", "--yes"][..], &reason].concat()).await;
    let plan = succeeds(&project, &["staging", "--plan"]).await;
    assert_parts(
        &plan,
        &[
            "3 applied, 0 pending",
            "\n  V1__first  (applied; no class recorded, since another tool applied it)",
            "\n  V2__add  (applied, of class before)",
            "\n  V3__drop  (applied, of class after)\n    overridden: ban-drop-column: it is unused",
        ],
    );
    let plan = succeeds(&project, &["staging", "--plan", "--json"]).await;
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let history = &plan["history"];
    for (number, is_recorded, class) in [
        (0, false, Value::Null),
        (1, true, "before".into()),
        (2, true, "after".into()),
    ] {
        assert_eq!(history[number]["is_recorded"], is_recorded, "{history}");
        assert_eq!(history[number]["class"], class, "{history}");
    }
    let overridden = &history[2]["overridden"][0];
    assert_eq!(overridden["rule"], "ban-drop-column", "{history}");
    assert_eq!(overridden["reason"], "it is unused", "{history}");
}

#[tokio::test]
async fn project_of_ours_goes_on_with_refinery() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a ()")]).await;
    assert_eq!(project.applied().await, ["V1__a"]);
    project.write("V2__b.sql", "CREATE TABLE b ()");
    assert_eq!(refinery(&project).await.expect("it goes on"), ["V2__b"]);
    project.write("V3__c.sql", "CREATE TABLE c ()");
    assert_eq!(project.applied().await, ["V3__c"]);
}

#[tokio::test]
async fn history_in_the_roles_own_schema_is_found() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a ()")]).await;
    let role = project.database.role();
    project.run(&format!("CREATE SCHEMA {role}")).await;
    assert_eq!(refinery(&project).await.expect("it applies"), ["V1__a"]);
    project.write("V2__b.sql", "CREATE TABLE b ()");
    assert_eq!(project.applied().await, ["V2__b"]);
    assert!(project.tables().await.is_empty());
}

#[tokio::test]
async fn edited_missing_and_older_files_stop_the_run_with_advice() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a ()"),
        ("V2__b.sql", "CREATE TABLE b ()"),
        ("V5__e.sql", "CREATE TABLE e ()"),
    ])
    .await;
    project.applied().await;
    project.write("V1__a.sql", "CREATE TABLE a2 ()");
    project.remove("V2__b.sql");
    project.write("V3__c.sql", "CREATE TABLE c ()");
    project.write("V6__f.sql", "CREATE TABLE f ()");
    let error = project.apply().await.expect_err("they do not agree");
    assert_eq!(error.kind(), ErrorKind::Migration);
    let text = error.to_string();
    for part in [
        "do not fit the database of stage staging, so nothing was applied",
        "V1__a.sql was edited since: restore the file as it was",
        "V2__b was applied on 20",
        "the folder has no such file: bring it back",
        "V3__c is not applied, and V5__e, which comes after it, is: rename V3__c.sql to V7__c.sql",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(project.tables().await, ["a", "b", "e"]);
    let mut options = options();
    options.allowed = vec![Disagreement::Edited, Disagreement::Missing];
    let error = project.apply_with(&options).await.expect_err("one is left");
    assert!(!error.to_string().contains("V1__a"), "{error}");
    options.allowed.push(Disagreement::Older);
    let report = project.apply_with(&options).await.expect("it applies");
    assert_eq!(names(&report), ["V3__c", "V6__f"]);
    assert_eq!(project.tables().await, ["a", "b", "c", "e", "f"]);
}

#[tokio::test]
async fn two_files_with_one_number_on_two_branches_are_told_apart() {
    let project = Project::with(&[("V1__ours.sql", "CREATE TABLE a ()")]).await;
    project.applied().await;
    project.write("V1__theirs.sql", "CREATE TABLE b ()");
    let text = project.refused().await;
    assert!(
        text.contains("V1__ours.sql and V1__theirs.sql have the number 1"),
        "{text}"
    );
    project.remove("V1__ours.sql");
    let text = project.refused().await;
    assert!(
        text.contains("rename V1__theirs.sql to V2__theirs.sql"),
        "{text}"
    );
}

#[tokio::test]
async fn timestamps_need_a_history_that_takes_them() {
    const TIME: &str = "V20261127090416__b.sql";
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a ()")]).await;
    project.applied().await;
    project.write(TIME, "CREATE TABLE b ()");
    let text = project.refused().await;
    assert!(
        text.contains("V20261127090416__b has a number above 2147483647"),
        "{text}"
    );
    assert!(text.contains("widen-history"), "{text}");
    for result in [WidenedHistory::Widened, WidenedHistory::WasWide] {
        let files = project.files().expect("a folder");
        let widened = widen_history(&project.stage(), &files, &options(), &|_| ()).await;
        assert_eq!(widened.expect("it is widened"), result);
    }
    assert_eq!(project.applied().await, ["V20261127090416__b"]);
    assert!(project.applied().await.is_empty());
    // As refinery computes them with its feature int8-versions.
    let checksum = "SELECT checksum FROM refinery_schema_history WHERE version = 1";
    assert_eq!(project.rows(checksum).await, ["18222955304573007323"]);
    // The recorded classes are still those of the history's migrations.
    let recorded = "SELECT string_agg(class, ',' ORDER BY version) FROM refinery_schema_history \
                    JOIN stagelink_migration_records USING (version, checksum)";
    assert_eq!(project.rows(recorded).await, ["before,before"]);
    // A database without a history gets one that takes them.
    let new = Project::with(&[("V1__a.sql", "SELECT 1"), (TIME, "CREATE TABLE b ()")]).await;
    assert_eq!(new.applied().await, ["V1__a", "V20261127090416__b"]);
    assert!(new.applied().await.is_empty());
}
