//! Drift: changes of a schema that no migration made.

use serde_json::Value;
use stagelink_pipeline::{Drift, WidenedHistory, drift, widen_history};

use super::{Project, options, texts, until};

async fn differences(project: &Project) -> Vec<String> {
    match drift(&project.stage()).await.expect("the schema") {
        Drift::Compared { differences, .. } => {
            differences.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn change_by_hand_is_drift_until_it_is_taken_back_or_accepted() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (b int);")]).await;
    assert_eq!(
        drift(&project.stage()).await.expect("an answer"),
        Drift::NotKept
    );
    project.applied().await;
    assert!(differences(&project).await.is_empty());
    project.run("CREATE INDEX by_hand ON a (b)").await;
    let found = differences(&project).await;
    assert!(
        found[0].starts_with("index public.by_hand is unexpected"),
        "{found:?}"
    );
    // Neither a run without a file nor one with another file takes it for its own.
    project.applied().await;
    assert_eq!(differences(&project).await, found);
    project.write(
        "V2__c.sql",
        "SET search_path = ''; ALTER TABLE public.a ADD COLUMN c int;",
    );
    project.applied().await;
    assert_eq!(differences(&project).await, found);
    project.run("DROP INDEX by_hand").await;
    assert!(differences(&project).await.is_empty());
    // A migration that makes what a hand has changed takes it over.
    project
        .run("ALTER TABLE a ALTER COLUMN c SET NOT NULL")
        .await;
    assert_eq!(differences(&project).await.len(), 1);
    project.write("V3__c.sql", "ALTER TABLE a DROP COLUMN c;");
    project.applied().await;
    assert!(differences(&project).await.is_empty());
}

#[tokio::test]
async fn file_that_fails_leaves_those_before_it_without_drift() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a (b int);"),
        ("V2__b.sql", "CREATE TABLE a ();"),
    ])
    .await;
    project.refused().await;
    assert!(differences(&project).await.is_empty());
}

#[tokio::test]
async fn history_that_has_moved_since_is_not_compared() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (b int);")]).await;
    project.applied().await;
    project
        .run("CREATE TABLE c (); INSERT INTO refinery_schema_history VALUES (2, 'c', '', '1')")
        .await;
    let found = drift(&project.stage()).await.expect("an answer");
    assert!(matches!(found, Drift::Outdated { .. }), "{found:?}");
    project
        .run("DELETE FROM refinery_schema_history WHERE version = 2")
        .await;
    project.write("V2__d.sql", "CREATE TABLE d ();");
    project.applied().await;
    assert_eq!(
        differences(&project).await,
        ["table public.c is unexpected"]
    );
}

#[tokio::test]
async fn widening_of_the_history_leaves_the_kept_schema_and_what_differs_from_it() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (b int);")]).await;
    project.applied().await;
    let (stage, files) = (project.stage(), project.files().expect("the files"));
    let widened = widen_history(&stage, &files, &options(), &|_| ()).await;
    assert_eq!(widened.expect("it is widened"), WidenedHistory::Widened);
    assert!(differences(&project).await.is_empty());
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (b int);")]).await;
    project.applied().await;
    project.run("CREATE TABLE by_hand ()").await;
    let arguments = ["widen-history", "staging", "--yes", "--json"];
    for history in ["widened", "was wide"] {
        let output = project.command(&arguments).await.output().await;
        let output = output.expect("the command runs");
        assert!(output.status.success(), "{output:?}");
        let line: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(line["history"], history, "{line}");
        assert_eq!(line["stage"], "staging");
    }
    let refused = project
        .command(&arguments[..2])
        .await
        .arg("--json")
        .output();
    let refused = refused.await.expect("the command runs");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let line: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert!(
        line["error"]
            .as_str()
            .is_some_and(|text| text.contains("add --yes")),
        "{line}"
    );
    assert_eq!(
        differences(&project).await,
        ["table public.by_hand is unexpected"]
    );
}

#[tokio::test]
async fn command_shows_differences_and_accepts_them() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (b int);")]).await;
    let run = async |arguments: &[&str]| {
        let arguments = [&["drift", "staging"], arguments].concat();
        let output = project.command(&arguments).await.output().await;
        let output = output.expect("the command runs");
        let [out, error] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        (output.status.code(), out, error)
    };
    let (code, out, _) = run(&[]).await;
    assert_eq!(code, Some(1));
    assert!(
        out.contains("no run of migrations has kept its schema"),
        "{out}"
    );
    let (code, _, error) = run(&["--accept", "--yes"]).await;
    assert_eq!(code, Some(2));
    assert!(error.contains("has no history of migrations"), "{error}");
    project.applied().await;
    let (code, out, error) = run(&[]).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("no difference from its migrations"), "{out}");
    assert!(!out.contains("accepted"), "{out}");
    let (code, _, error) = run(&["--with", "staging"]).await;
    assert_eq!(code, Some(2));
    let words = "--with names stage staging itself: name another stage";
    assert!(error.contains(words), "{error}");
    // The environment of this test has one URL for all stages.
    let (code, _, error) = run(&["--with", "production"]).await;
    assert_eq!(code, Some(2));
    assert!(error.contains("lead to one database"), "{error}");
    project.run("ALTER TABLE a ALTER b TYPE bigint").await;
    let (code, out, _) = run(&[]).await;
    assert_eq!(code, Some(1));
    assert!(
        out.contains("column public.a.b is bigint, expected integer"),
        "{out}"
    );
    let (code, out, _) = run(&["--json"]).await;
    assert_eq!(code, Some(1));
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["differences"][0]["change"], "changed");
    let (code, _, error) = run(&["--accept"]).await;
    assert_eq!(code, Some(2), "{error}");
    let (code, _, error) = run(&["--accept", "--yes"]).await;
    assert_eq!(code, Some(0), "{error}");
    // What a person accepted is not said to be of the migrations, also after a later run.
    let accepted = "no difference from its migrations and what was accepted on 20";
    let (code, out, _) = run(&[]).await;
    assert_eq!(code, Some(0));
    assert!(out.contains(accepted), "{out}");
    let (code, out, _) = run(&["--accept", "--yes"]).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("nothing to accept"), "{out}");
    project.write("V2__c.sql", "CREATE TABLE c ();");
    project.applied().await;
    let (code, out, _) = run(&["--json"]).await;
    assert_eq!(code, Some(0));
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert!(report["accepted_at"].is_string(), "{report}");
}

#[tokio::test]
async fn settings_of_a_role_are_no_drift() {
    let project = Project::with(&[(
        "V1__a.sql",
        "CREATE TABLE a (at timestamptz DEFAULT '2026-01-01 00:00+00', b int); \
         CREATE VIEW seen AS SELECT at AS \"when\" FROM a; \
         CREATE TABLE p (at timestamptz) PARTITION BY RANGE (at); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');",
    )])
    .await;
    project.applied().await;
    for setting in [
        "timezone = 'America/New_York'",
        "datestyle = 'SQL, DMY'",
        "quote_all_identifiers = on",
    ] {
        project
            .run(&format!("ALTER ROLE CURRENT_USER SET {setting}"))
            .await;
    }
    let found = differences(&project).await;
    project.run("ALTER ROLE CURRENT_USER RESET ALL").await;
    assert!(found.is_empty(), "{found:?}");
}

/// Postgres prints what a function of the catalog finds now, and not as the transaction sees it.
#[tokio::test]
async fn function_that_is_dropped_meanwhile_ends_nothing() {
    let project = Project::with(&[(
        "V1__a.sql",
        "CREATE TABLE a (b int); CREATE VIEW seen AS SELECT b FROM a; \
         CREATE FUNCTION gone(int) RETURNS int LANGUAGE sql AS 'SELECT 1';",
    )])
    .await;
    project.applied().await;
    let dropper = project.session().await;
    dropper
        .batch_execute("BEGIN; LOCK TABLE a; DROP FUNCTION gone(int)")
        .await
        .expect("a lock");
    let watcher = project.session().await;
    let commit = async {
        let waits = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock'";
        until("a session that waits for the table", async || {
            !texts(&watcher, waits).await.is_empty()
        })
        .await;
        dropper.batch_execute("COMMIT").await.expect("an end");
    };
    let stage = project.stage();
    let (compared, ()) = tokio::join!(drift(&stage), commit);
    // It waits for the view's table, and then finds the function or not.
    assert!(
        matches!(compared, Ok(Drift::Compared { .. })),
        "{compared:?}"
    );
}

/// A snapshot that a stagelink of before formats had numbers has kept, and one of a later format.
#[tokio::test]
async fn snapshot_of_another_format_is_no_drift() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (b int);")]).await;
    project.applied().await;
    let old = r#"{"objects":[{"kind":"table","name":"public.a","owner":"","definition":""}]}"#;
    for (kept, newer, words) in [
        (old, false, "an older stagelink kept its schema"),
        (r#"{"format":99,"relations":[]}"#, true, "update stagelink"),
    ] {
        project
            .run(&format!(
                "UPDATE stagelink_schema_snapshot SET objects = '{kept}'"
            ))
            .await;
        let found = drift(&project.stage()).await.expect("an answer");
        assert!(
            matches!(found, Drift::OtherFormat { is_newer, .. } if is_newer == newer),
            "{found:?}"
        );
        let command = project.command(&["drift", "staging"]).await.output().await;
        let output = command.expect("the command runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(words), "{text}");
    }
    // The next run keeps the schema again.
    project.write("V2__c.sql", "CREATE TABLE c ();");
    project.applied().await;
    assert!(differences(&project).await.is_empty());
    project.run("DROP TABLE c").await;
    assert_eq!(differences(&project).await, ["table public.c is missing"]);
}

/// An index that a run builds is in the catalog before the history has its file.
#[tokio::test]
async fn schema_is_not_compared_while_a_run_goes_on() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (b int);")]).await;
    project.applied().await;
    let runner = project.session().await;
    let run = async |sql: &str| runner.batch_execute(sql).await.expect(sql);
    run(
        "SELECT pg_advisory_lock(('x' || encode('stagelin', 'hex'))::bit(64)::bigint); \
         CREATE INDEX a_b ON a (b)",
    )
    .await;
    let found = drift(&project.stage()).await.expect("an answer");
    assert_eq!(found, Drift::Changing);
    let command = project.command(&["drift", "staging"]).await.output().await;
    let output = command.expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("changes at the moment"), "{text}");
    run("DROP INDEX a_b; SELECT pg_advisory_unlock_all()").await;
    assert!(differences(&project).await.is_empty());
}
