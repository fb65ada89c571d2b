//! Files of *stop* and of *ask*, and files that have to be split: refused, with the form to write in their place.

use serde_json::Value;
use stagelink_pipeline::{Class, migration_records};

use super::{assert_parts, fails, fails_with, run, shop, stdout, succeeds};
use crate::migrations::Project;

#[tokio::test]
async fn statement_that_stops_is_refused_with_its_safe_form_and_passes_with_a_reason() {
    let project = shop().await;
    project.write("V2__add.sql", "ALTER TABLE small ADD COLUMN c int;");
    project.write(
        "V3__index.sql",
        "-- for the search\nCREATE INDEX big_a ON big (a);",
    );
    let error = fails(&project, &["staging", "--yes"]).await;
    assert_parts(
        &error,
        &[
            "the database of stage staging cannot take the migrations as they are, so nothing was \
             applied",
            "V3__index.sql line 2: writers of the table wait while the index is built \
             (require-concurrent-index-creation): write in its place: CREATE INDEX CONCURRENTLY \
             big_a ON big (a); -- alone in its file",
        ],
    );
    assert_eq!(project.history().await, ["V1__shop"]);
    // Another rule does not help.
    let arguments = [
        "staging",
        "--yes",
        "--override",
        "backfill",
        "--reason",
        "x",
    ];
    let error = fails(&project, &arguments).await;
    assert_parts(&error, &["no pending file needs --override backfill"]);
    let rule = "require-concurrent-index-creation";
    let reason = "night, no writers 'til 6";
    let arguments = ["staging", "--yes", "--override", rule, "--reason", reason];
    let plan = succeeds(&project, &[&arguments[..], &["--plan"]].concat()).await;
    assert_parts(
        &plan,
        &["V3__index.sql  (stop)", "line 2: stop, overridden"],
    );
    succeeds(&project, &arguments).await;
    let records = migration_records(&project.stage()).await.expect("records");
    let record = records.last().expect("a record");
    assert_eq!((record.version, record.class), (3, Some(Class::Stop)));
    assert_eq!(record.overridden[0].rule, rule);
    assert_eq!(record.overridden[0].reason, reason);
    assert!(records[1].overridden.is_empty(), "{records:?}");
    // It passed once.
    project.write("V4__index.sql", "CREATE INDEX big_b ON big (b);");
    fails(&project, &["staging", "--yes"]).await;
}

#[tokio::test]
async fn statement_that_asks_says_what_a_person_has_to_look_at() {
    let project = shop().await;
    project.write("V2__code.sql", "DO $$ BEGIN DELETE FROM big; END $$;");
    project.write("V3__rows.sql", "UPDATE big SET a = 1 WHERE id < 5;");
    project.write("V4__call.sql", "SELECT tidy_up();");
    let error = fails(&project, &["staging", "--yes", "--json"]).await;
    assert!(error.contains("V2__code.sql"), "{error}");
    let error = fails(&project, &["staging", "--yes"]).await;
    assert_parts(
        &error,
        &[
            "V2__code.sql line 1: it runs code that cannot be read here",
            "so a person has to look at it: plain statements; or read the DO block",
            "--override runs-code@V2 --reason TEXT",
            "V4__call.sql line 1: it runs code that cannot be read here (runs-code)",
            "or read the function tidy_up(), then override the rule",
            "V3__rows.sql line 1: it changes rows, and their number is not known (data-change)",
        ],
    );
    assert_eq!(project.history().await, ["V1__shop"]);
}

#[tokio::test]
async fn file_that_mixes_before_and_after_is_refused_with_its_split() {
    let project = shop().await;
    project.write(
        "V2__mixed.sql",
        "ALTER TABLE small ADD COLUMN c int; ALTER TABLE small DROP COLUMN a;",
    );
    for arguments in [&["staging", "--yes"][..], &["staging", "--yes", "--after"]] {
        let error = fails(&project, arguments).await;
        assert_parts(
            &error,
            &[
                "V2__mixed.sql: it has statements of before and of after; make 2 files of it: \
                 1. before: ALTER TABLE small ADD COLUMN c int; \
                 2. after: ALTER TABLE small DROP COLUMN a;",
            ],
        );
    }
    let output = run(&project, &["staging", "--yes", "--json"]).await;
    let error: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let detail = error["details"][0].as_str().expect("a detail");
    assert!(detail.starts_with("V2__mixed.sql: "), "{error}");
    assert_eq!(project.history().await, ["V1__shop"]);
}

#[tokio::test]
async fn file_that_locks_several_used_tables_is_refused_with_its_split() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (); CREATE TABLE b ();")]).await;
    let both = "ALTER TABLE a ADD COLUMN c int;\nALTER TABLE b ADD COLUMN c int;";
    // Tables of the same run have no users.
    project.write("V2__b.sql", both);
    succeeds(&project, &["staging", "--yes"]).await;
    project.write("V3__c.sql", &both.replace("c int", "d int"));
    let plan = succeeds(&project, &["staging", "--plan"]).await;
    assert_parts(
        &plan,
        &[
            "2 applied, 1 pending: 0 to apply, 1 refused, 0 waiting",
            "V3__c.sql  (before, refused)\n    refused: locks several tables",
            "\n\nas it is, this run would be refused",
        ],
    );
    let plan = succeeds(&project, &["staging", "--plan", "--json"]).await;
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    assert_eq!(plan["is_refused"], true);
    let refused = run(&project, &["staging", "--yes", "--json"]).await;
    let refused: Value = serde_json::from_str(&stdout(&refused)).expect("JSON");
    assert_eq!(refused["pending"], plan["pending"]);
    let refusal = plan["pending"][0]["refusals"][0].as_str().expect("a text");
    assert!(refusal.contains("locks several tables"), "{refusal}");
    let error = fails(&project, &["staging", "--yes"]).await;
    assert_parts(
        &error,
        &[
            "V3__c.sql locks several tables",
            "(public.a, public.b): split it",
            "(file 1: ALTER TABLE a ADD COLUMN d int; file 2: ALTER TABLE b ADD COLUMN d int;)",
        ],
    );
    assert_eq!(project.history().await, ["V1__a", "V2__b"]);
    let arguments = [
        "staging",
        "--yes",
        "--override",
        "several-tables",
        "--reason",
        "idle",
    ];
    succeeds(&project, &arguments).await;
    let records = migration_records(&project.stage()).await.expect("records");
    let record = records.last().expect("a record");
    assert_eq!(record.overridden[0].rule, "several-tables");
    assert_eq!(record.class, Some(Class::Before));
}

#[tokio::test]
async fn override_without_a_reason_or_a_rule_is_refused_before_anything_is_asked() {
    let mut project = Project::with(&[("V1__a.sql", "CREATE TABLE a ()")]).await;
    project.set_url("postgres://ann@127.0.0.1:1/none".to_owned());
    for (arguments, words) in [
        (
            &["--override", "backfill"][..],
            "each --override needs a --reason",
        ),
        (&["--reason", "x"], "each --override needs a --reason"),
        (
            &["--override", "back-fill", "--reason", "x"],
            "back-fill is no rule of migrations",
        ),
        (
            &["--override", "backfill", "--reason", " "],
            "the override of backfill needs a reason",
        ),
    ] {
        let arguments = [&["staging", "--yes"], arguments].concat();
        let error = fails_with(&project, &arguments, 2).await;
        assert_parts(&error, &[words]);
    }
}
