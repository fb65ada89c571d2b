//! Runs that succeed, that fail in the middle, and two at a time.

use stagelink_pipeline::{ErrorKind, MigrationPlan};

use super::{Project, names, options};

#[tokio::test]
async fn new_database_gets_all_files_in_order_and_each_once() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a (b int);\n"),
        (
            "V2__b.sql",
            "INSERT INTO a VALUES (1); INSERT INTO a VALUES (2);",
        ),
        ("V10__c.sql", "CREATE INDEX CONCURRENTLY a_b ON a (b);"),
        ("V11__d.sql", "VACUUM a"),
        ("V12__e.sql", "-- stagelink: no transaction\nANALYZE a;"),
    ])
    .await;
    let all = ["V1__a", "V2__b", "V10__c", "V11__d", "V12__e"];
    assert_eq!(project.applied().await, all);
    assert_eq!(project.history().await, all);
    assert_eq!(project.rows("SELECT b::text FROM a").await, ["1", "2"]);
    assert!(project.applied().await.is_empty());
}

#[tokio::test]
async fn failing_file_leaves_nothing_of_itself_and_the_files_before_it() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a (b int UNIQUE);"),
        (
            "V2__b.sql",
            "CREATE TABLE b ();\n\nINSERT INTO a VALUES (1);\n-- é\nSELECT c\n  FROM none;\n",
        ),
        ("V3__c.sql", "CREATE TABLE c ()"),
    ])
    .await;
    let error = project.apply().await.expect_err("it fails");
    assert_eq!(error.kind(), ErrorKind::Migration);
    let text = error.to_string();
    for part in [
        "stage staging: V2__b.sql line 6: relation \"none\" does not exist (42P01)",
        "it was rolled back, and left nothing",
        "the file before it stays applied",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(project.history().await, ["V1__a"]);
    assert_eq!(project.tables().await, ["a"]);
    assert!(project.rows("SELECT b::text FROM a").await.is_empty());
    project.write("V2__b.sql", "CREATE TABLE b ()");
    assert_eq!(project.applied().await, ["V2__b", "V3__c"]);
}

#[tokio::test]
async fn errors_of_each_kind_name_line_and_words_without_values() {
    for (sql, line, words, hidden) in [
        (
            "SELECT 1;\nSELEC 2",
            2,
            "syntax error at or near \"SELEC\"",
            "",
        ),
        (
            "CREATE TABLE x (y text UNIQUE);\nINSERT INTO x VALUES ('secret');\n\
             INSERT INTO x VALUES ('secret');",
            3,
            "23505); its DETAIL holds values",
            "secret",
        ),
        (
            "CREATE TABLE x AS SELECT 'secret' AS y;\nALTER TABLE x ALTER y TYPE int USING y::int;",
            2,
            "invalid input syntax for type integer: \"…\" (22P02)",
            "secret",
        ),
        (
            "CREATE TABLE x ();\nCREATE VIEW y AS SELECT * FROM x;\nDROP TABLE x;",
            3,
            "DETAIL: view y depends on table x; HINT: Use DROP ... CASCADE",
            "",
        ),
        (
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  PERFORM g();\n\
             END $$;\nSELECT\n  f();",
            5,
            "function g() does not exist",
            "",
        ),
    ] {
        let project = Project::with(&[("V1__a.sql", sql)]).await;
        let text = project.refused().await;
        assert!(text.contains(&format!("V1__a.sql line {line}: ")), "{text}");
        assert!(text.contains(words), "{text}");
        assert!(hidden.is_empty() || !text.contains(hidden), "{text}");
        assert!(project.tables().await.is_empty());
    }
}

#[tokio::test]
async fn deferred_constraint_that_fails_at_the_commit_rolls_back() {
    let project = Project::with(&[(
        "V1__a.sql",
        "CREATE TABLE a (b int UNIQUE DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO a VALUES (1), (1);",
    )])
    .await;
    let text = project.refused().await;
    assert!(text.contains("could not be committed"), "{text}");
    assert!(text.contains("23505"), "{text}");
    assert!(text.contains("rolled back, and left nothing"), "{text}");
    assert!(project.tables().await.is_empty());
}

#[tokio::test]
async fn settings_of_a_file_do_not_reach_the_next_one() {
    let project = Project::with(&[
        (
            "V1__a.sql",
            "CREATE SCHEMA other; SET search_path = other; SET lock_timeout = '7s';
             CREATE TABLE public.own AS
                 SELECT pg_catalog.current_setting('lock_timeout') AS l;
             PREPARE left_over AS SELECT 1;
             CREATE TEMPORARY TABLE left_over ();
             SELECT pg_catalog.set_config('search_path', '', false);",
        ),
        (
            "V2__b.sql",
            "CREATE TABLE b AS SELECT current_setting('lock_timeout') AS l",
        ),
        (
            "V3__c.sql",
            "CREATE TABLE left_over (); PREPARE left_over AS SELECT 1;",
        ),
    ])
    .await;
    assert_eq!(project.applied().await.len(), 3);
    // Not even the other statements of the file, as at the beginning of a dump.
    for table in ["own", "b"] {
        let limit = project.rows(&format!("SELECT l FROM public.{table}")).await;
        assert_eq!(limit, ["1s"], "{table}");
    }
    assert_eq!(project.tables().await, ["b", "left_over", "own"]);
}

#[tokio::test]
async fn files_that_cannot_run_are_all_named_before_anything_starts() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a ()"),
        ("V2__b.sql", "BEGIN;\nCREATE TABLE b ();\nCOMMIT;"),
        (
            "V3__c.sql",
            "CREATE TABLE c (d int);\nCREATE INDEX CONCURRENTLY e ON c (d);",
        ),
        ("V4__d.sql", "-- to do"),
    ])
    .await;
    let text = project.refused().await;
    for part in [
        "V2__b.sql line 1: BEGIN",
        "V2__b.sql line 3: COMMIT",
        "V3__c.sql line 2: CREATE INDEX CONCURRENTLY runs without a transaction",
        "V4__d.sql has no statement",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(project.history().await.is_empty());
    assert!(project.tables().await.is_empty());
}

#[tokio::test]
async fn two_runs_at_once_take_turns_and_apply_each_file_once() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a (b int); SELECT pg_sleep(3);"),
        ("V2__b.sql", "INSERT INTO a VALUES (1);"),
        ("V3__c.sql", "CREATE INDEX CONCURRENTLY a_b ON a (b)"),
        ("V4__d.sql", "INSERT INTO a VALUES (2);"),
    ])
    .await;
    // A plan that is made later has nothing to apply, and would say nothing of the others.
    let (options, stage) = (options(), project.stage());
    let files = project.files().expect("the files");
    let plan = async || MigrationPlan::make(&stage, &files, &options).await;
    let plans = [plan().await, plan().await, plan().await].map(|plan| plan.expect("a plan"));
    let [one, two, three] = plans
        .each_ref()
        .map(|plan| project.apply_plan(plan, &options));
    let runs = tokio::join!(one, two, three);
    let runs = [runs.0, runs.1, runs.2].map(|run| run.expect("it ends well"));
    let mut applied: Vec<_> = runs.iter().map(names).collect();
    applied.sort();
    assert_eq!(applied[2], ["V1__a", "V2__b", "V3__c", "V4__d"]);
    assert!(
        applied[0].is_empty() && applied[1].is_empty(),
        "{applied:?}"
    );
    let others = runs.iter().map(|run| run.by_others.len()).sum::<usize>();
    assert_eq!(others, 8);
    assert_eq!(project.rows("SELECT b::text FROM a").await, ["1", "2"]);
    assert!(
        project.has_event("waiting for another migration of this database: session"),
        "{:?}",
        project.events()
    );
    assert!(project.has_event("(stagelink migrate"));
}

#[tokio::test]
async fn run_that_waits_in_vain_names_the_holder_of_the_lock() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a ()")]).await;
    let holder = project.session().await;
    holder
        .batch_execute(
            "SET application_name = 'by hand'; \
             SELECT pg_advisory_lock(('x' || encode('stagelin', 'hex'))::bit(64)::bigint)",
        )
        .await
        .expect("the lock");
    let mut options = options();
    options.wait = std::time::Duration::from_secs(1);
    let error = project.apply_with(&options).await.expect_err("it is held");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("(by hand, idle, for "), "{text}");
    assert!(text.contains("pg_terminate_backend("), "{text}");
    drop(holder);
    assert_eq!(project.applied().await, ["V1__a"]);
}

#[tokio::test]
async fn file_that_takes_too_long_is_rolled_back() {
    let project = Project::with(&[(
        "V1__a.sql",
        "CREATE TABLE a ();\nSELECT pg_sleep(6);\nSELECT pg_sleep(6);\nSELECT 1;",
    )])
    .await;
    let mut options = options();
    options.time_limit = std::time::Duration::from_secs(10);
    let error = project.apply_with(&options).await.expect_err("it is over");
    let text = error.to_string();
    assert!(
        text.contains("V1__a.sql line 3: the transaction took longer than 10 s"),
        "{text}"
    );
    assert!(text.contains("--time-limit"), "{text}");
    assert!(project.tables().await.is_empty());
}
