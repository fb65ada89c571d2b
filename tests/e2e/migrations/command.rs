//! `stagelink migrate`, as a person and a script run it.

use std::process::Output;

use serde_json::Value;
use stagelink_tests::CANARY;

use super::Project;

async fn run(project: &Project, arguments: &[&str]) -> Output {
    let output = project.command(arguments).await.output().await;
    let output = output.expect("the command runs");
    for text in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(text).contains(CANARY));
    }
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    let text = stdout(output);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn plan_is_shown_and_changes_nothing() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a (\n  b int\n);\n"),
        ("V2__b.sql", "CREATE INDEX CONCURRENTLY a_b ON a (b);"),
    ])
    .await;
    let output = run(&project, &["staging", "--plan"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "stage staging: database ",
        "0 applied, 2 pending: 2 to apply, 0 refused, 0 waiting",
        "  V1__a.sql  (before)\n    CREATE TABLE a (\n      b int\n    );",
        "V2__b.sql  (before, without a transaction)",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let exists = "SELECT 'yes' WHERE to_regclass('refinery_schema_history') IS NOT NULL";
    assert!(project.rows(exists).await.is_empty());
    let plan = json(&run(&project, &["staging", "--plan", "--json"]).await);
    assert_eq!(plan["pending"][1]["file"], "V2__b.sql");
    assert_eq!(plan["pending"][1]["in_transaction"], false);
    assert_eq!(plan["applied"], Value::Null);
}

#[tokio::test]
async fn plan_names_rows_rules_and_the_split_of_a_mixed_file() {
    let project = Project::with(&[(
        "V1__a.sql",
        "CREATE TABLE a (b int, c int); INSERT INTO a SELECT n FROM generate_series(1, 70) n; \
         ANALYZE a;",
    )])
    .await;
    project.apply().await.expect("it ends well");
    project.write(
        "V2__b.sql",
        "ALTER TABLE a ADD COLUMN d int;\n-- squawk-ignore ban-drop-column\n\
         ALTER TABLE a DROP COLUMN c;",
    );
    let output = run(&project, &["staging", "--plan"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "V2__b.sql  (after, refused)",
        "line 3: after: the code that runs now may still use the column (ban-drop-column)",
        "\n    line 1: before\n",
        "locks: ACCESS EXCLUSIVE on public.a, about 70 rows",
        "refused: it has statements of before and of after; make 2 files of it:\n      \
         1. before: ALTER TABLE a ADD COLUMN d int;\n      2. after: ALTER TABLE a DROP COLUMN c;",
        "note: line 2: a comment that silences squawk has no effect here",
        "\n\nas it is, this run would be refused",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let plan = json(&run(&project, &["staging", "--plan", "--json"]).await);
    let locks = ["ACCESS EXCLUSIVE on public.a, about 70 rows"];
    let statements = [(1, "before"), (3, "after")];
    let statements = statements
        .map(|(line, class)| serde_json::json!({"line": line, "class": class, "locks": locks}));
    assert_eq!(
        plan["pending"][0]["statements"],
        Value::from_iter(statements)
    );
}

#[tokio::test]
async fn command_asks_and_refuses_without_a_terminal() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a ()")]).await;
    let output = run(&project, &["staging"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("nothing was applied: add --yes"),
        "{}",
        stderr(&output)
    );
    assert!(
        stdout(&output).contains("V1__a.sql"),
        "the plan comes first"
    );
    assert!(project.history().await.is_empty());
    let output = run(&project, &["staging", "--yes"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("1 applied to stage staging"));
    assert!(
        stderr(&output).contains("V1__a applied ("),
        "{}",
        stderr(&output)
    );
    // Nothing to apply needs no question.
    let output = run(&project, &["staging"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("nothing to apply: stage staging has the only migration"));
}

#[tokio::test]
async fn json_is_one_line_for_a_result_and_for_an_error() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a ()"),
        ("V2__b.sql", "CREATE TABLE a ()"),
    ])
    .await;
    let output = run(&project, &["staging", "--yes", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let error = json(&output);
    let text = error["error"].as_str().expect("a text");
    assert!(
        text.contains("V2__b.sql line 1: relation \"a\" already exists"),
        "{text}"
    );
    assert_eq!(error["is_retryable"], false);
    assert_eq!(error["pending"][1]["file"], "V2__b.sql");
    assert_eq!(error["applied"].as_array().map(Vec::len), Some(1));
    assert_eq!(error["applied"][0]["file"], "V1__a.sql");
    assert!(error["applied"][0]["seconds"].is_number());
    project.write("V2__b.sql", "CREATE TABLE b ()");
    let output = run(&project, &["staging", "--yes", "--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result = json(&output);
    assert_eq!(result["stage"], "staging");
    assert_eq!(result["applied_before"], 1);
    assert_eq!(result["applied"][0]["file"], "V2__b.sql");
    assert!(result["applied"][0]["seconds"].is_number());
}

#[tokio::test]
async fn result_that_cannot_be_shown_says_that_the_migrations_were_applied() {
    for arguments in [&["staging", "--yes", "--json"][..], &["staging", "--yes"]] {
        let project = Project::with(&[("V1__a.sql", "CREATE TABLE a ()")]).await;
        let full = std::fs::File::create("/dev/full").expect("the device");
        let mut command = project.command(arguments).await;
        // Without JSON the plan is printed first.
        let is_json = arguments.contains(&"--json");
        // `output` would take standard output itself.
        let running = command.stdout(full).spawn().expect("the command runs");
        let output = running.wait_with_output().await.expect("it ends");
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        let words = "the migrations were applied, but the result could not be shown";
        assert_eq!(text.contains(words), is_json, "{text}");
        assert_eq!(!project.history().await.is_empty(), is_json);
    }
}

#[tokio::test]
async fn statement_that_wants_no_transaction_is_told_how_to_have_none() {
    let project = Project::with(&[
        (
            "V1__p.sql",
            "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$",
        ),
        ("V2__call.sql", "CALL p()"),
    ])
    .await;
    let text = project.refused().await;
    assert!(
        text.contains("(2D000); the statement wants no transaction: give it a file of its own"),
        "{text}"
    );
    project.write(
        "V2__call.sql",
        "/* A header */\n-- Stagelink: no transaction\nCALL p()",
    );
    assert_eq!(project.applied().await, ["V2__call"]);
    project.write(
        "V3__r.sql",
        "CREATE TABLE r (a int PRIMARY KEY) PARTITION BY RANGE (a)",
    );
    project.write("V4__reindex.sql", "REINDEX TABLE r");
    let text = project.refused().await;
    assert!(
        text.contains("(25001); the statement wants no transaction"),
        "{text}"
    );
}

#[tokio::test]
async fn values_of_rows_are_in_no_message() {
    let project = Project::with(&[(
        "V1__a.sql",
        &format!("CREATE TABLE a (b text); INSERT INTO a VALUES ('{CANARY}')"),
    )])
    .await;
    project.applied().await;
    for (sql, words) in [
        (
            "DO $$ BEGIN EXECUTE (SELECT 'SELECT \"' || b || '\" FROM a' FROM a); END $$",
            "column \"…\" does not exist (42703)",
        ),
        (
            "DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE \"' || b || '\"' FROM a); END $$",
            "table \"…\" does not exist (42P01)",
        ),
        ("SELECT (b || '.x')::regclass FROM a", "does not exist"),
        ("SELECT (b || ' &')::tsquery FROM a", "in tsquery: \"…\""),
        (
            "DO $$ BEGIN RAISE 'no' USING HINT = (SELECT b FROM a); END $$",
            "no (P0001)",
        ),
        ("DROP TABLE nope", "table \"nope\" does not exist (42P01)"),
        (
            "SELECT nope FROM a",
            "column \"nope\" does not exist (42703)",
        ),
    ] {
        project.write("V2__b.sql", sql);
        // The project looks for the value in the message.
        let text = project.refused().await;
        assert!(text.contains(words), "{sql}: {text}");
    }
}

#[tokio::test]
async fn wrong_arguments_and_names_are_errors_with_advice() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a ()")]).await;
    for (arguments, code, words) in [
        (&["--nonsense"][..], 2, "unexpected argument"),
        (&["staging", "--time-limit", "0"], 2, "--time-limit"),
        (
            &["staging", "--time-limit", "18446744073709551615"],
            2,
            "is not in 1..=604800",
        ),
        (
            &["staging", "--wait", "18446744073709551615"],
            2,
            "is not in 0..=604800",
        ),
        (&["stagin"], 2, "did you mean staging?"),
        (&[], 2, "no stage is named: `stagelink migrate staging`"),
        (&["--local"], 2, "no `stagelink dev` runs"),
        (
            &["drift"],
            2,
            "no stage is named: `stagelink migrate drift staging`",
        ),
        (&["staging", "--local"], 2, "no `stagelink dev` runs"),
        (
            &["staging", "--project", "none"],
            1,
            "could not read the migrations in none/migrations",
        ),
    ] {
        let output = run(&project, arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(
            stderr(&output).contains(words),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    for arguments in [
        &["stagin", "--json"][..],
        &["--json"],
        &["staging", "--json", "--override", "none", "--reason", "x"],
        &["staging", "--json", "--bogus"],
        &["staging", "--allow", "nonsense", "--json"],
        &["staging", "--time-limit", "0", "--json"],
        &["staging", "--json", "--wait", "99999999"],
        &["new", "--json"],
    ] {
        let output = run(&project, arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(json(&output)["error"].is_string(), "{arguments:?}");
    }
    project.write("V2_b.sql", "CREATE TABLE b ()");
    let output = run(&project, &["staging", "--yes"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("\n  V2_b.sql has one underscore"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("rename it to V2__b.sql"),
        "{}",
        stderr(&output)
    );
    assert!(project.history().await.is_empty());
}

#[tokio::test]
async fn bad_files_are_told_where_the_database_cannot_be_reached() {
    let mut project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a ()"),
        ("V2__b.sql", "BEGIN; CREATE TABLE b ();"),
    ])
    .await;
    project.set_url("postgres://ann@127.0.0.1:1/none".to_owned());
    let output = run(&project, &["staging", "--yes"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    for part in [
        "could not connect to the database",
        "note: unless it is applied already: V2__b.sql line 1: BEGIN does not belong",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn names_that_are_not_composed_are_those_of_the_history() {
    let project = Project::with(&[("V1__gro\u{308}\u{df}e.sql", "CREATE TABLE a ()")]).await;
    let output = run(&project, &["staging", "--yes"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(project.history().await, ["V1__gr\u{f6}\u{df}e"]);
    // A checkout of another system has the letters composed.
    project.remove("V1__gro\u{308}\u{df}e.sql");
    project.write("V1__gr\u{f6}\u{df}e.sql", "CREATE TABLE a ()");
    let output = run(&project, &["staging", "--yes"]).await;
    assert!(
        stdout(&output).contains("nothing to apply"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn database_of_another_stage_is_refused() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a ()")]).await;
    stagelink_tests::as_superuser(&format!(
        "ALTER DATABASE {} SET application_name = 'stagelink:production'",
        project.database.name()
    ))
    .await;
    let output = run(&project, &["staging", "--yes"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("is marked as stage production's"),
        "{}",
        stderr(&output)
    );
    assert!(project.history().await.is_empty());
}

#[tokio::test]
async fn new_file_is_numbered_and_refused_until_it_has_a_statement() {
    let project = Project::with(&[("V3__a.sql", "CREATE TABLE a ()")]).await;
    let output = run(&project, &["new", "Add mail"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "./migrations/V4__add_mail.sql\n");
    let output = run(&project, &["staging", "--yes"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("V4__add_mail.sql has no statement"));
    project.write("V4__add_mail.sql", "ALTER TABLE a ADD mail text");
    let output = run(&project, &["staging", "--yes"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = run(&project, &["new", "V9__x.sql"]).await;
    assert_eq!(stdout(&output), "./migrations/V5__x.sql\n");
}
