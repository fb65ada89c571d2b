//! Overrides: the file in which a rule passes, and options that name none or several.

use serde_json::Value;
use stagelink_pipeline::migration_records;

use super::Project;
use super::enforcement::{assert_parts, fails, fails_with, run, shop, stdout, succeeds};

const RULE: &str = "require-concurrent-index-creation";

/// A project with two files that a rule refuses, and a harmless one between them.
async fn two_indexes() -> Project {
    let project = shop().await;
    project.write("V2__a.sql", "CREATE INDEX big_a ON big (a);");
    project.write("V3__add.sql", "ALTER TABLE small ADD COLUMN c int;");
    project.write("V4__b.sql", "CREATE INDEX big_b ON big (b);");
    project
}

#[tokio::test]
async fn override_of_a_rule_that_several_files_need_is_refused_with_the_options_to_write() {
    let project = two_indexes().await;
    let arguments = ["staging", "--yes", "--override", RULE, "--reason", "night"];
    let refusal = format!(
        "--override {RULE} would hold for 2 files, and a person answers for each file alone: write \
         `--override {RULE}@V2 --reason TEXT` for V2__a.sql, `--override {RULE}@V4 --reason TEXT` \
         for V4__b.sql"
    );
    let error = fails(&project, &arguments).await;
    assert_parts(
        &error,
        &[&refusal, "V2__a.sql line 1: ", "V4__b.sql line 1: "],
    );
    let plan = succeeds(&project, &[&arguments[..], &["--plan"]].concat()).await;
    assert_parts(
        &plan,
        &[
            &format!("\n  refused: {refusal}"),
            "as it is, this run would be refused",
        ],
    );
    let plan = succeeds(&project, &[&arguments[..], &["--plan", "--json"]].concat()).await;
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    assert_eq!(plan["is_refused"], true);
    assert_eq!(plan["override_refusals"][0], refusal);
    let output = run(&project, &[&arguments[..], &["--json"]].concat()).await;
    let error: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(error["details"][0], refusal);
    assert_eq!(project.history().await, ["V1__shop"]);
}

#[tokio::test]
async fn override_of_a_file_holds_in_that_file_alone() {
    let project = two_indexes().await;
    let [second, fourth] = [2, 4].map(|version| format!("{RULE}@V{version}"));
    let error = fails(
        &project,
        &[
            "staging",
            "--yes",
            "--override",
            &second,
            "--reason",
            "night",
        ],
    )
    .await;
    assert_parts(&error, &["V4__b.sql line 1: "]);
    assert!(!error.contains("V2__a.sql line 1: writers"), "{error}");
    assert_eq!(project.history().await, ["V1__shop"]);
    let arguments = [
        "staging",
        "--yes",
        "--override",
        &second,
        "--reason",
        "night",
        "--override",
        &fourth,
        "--reason",
        "by Ann",
    ];
    let plan = succeeds(&project, &[&arguments[..], &["--plan"]].concat()).await;
    assert_parts(
        &plan,
        &[
            "3 pending: 3 to apply, 0 refused",
            "line 1: stop, overridden",
        ],
    );
    succeeds(&project, &arguments).await;
    let records = migration_records(&project.stage()).await.expect("records");
    let overridden: Vec<Vec<(&str, &str)>> = records
        .iter()
        .map(|record| {
            let overridden = record.overridden.iter();
            overridden.map(|one| (&*one.rule, &*one.reason)).collect()
        })
        .collect();
    assert_eq!(
        overridden,
        [
            vec![],
            vec![(RULE, "night")],
            vec![],
            vec![(RULE, "by Ann")]
        ]
    );
    // The same command again, as after an interruption, has nothing to do.
    let output = run(&project, &arguments).await;
    assert_eq!(output.status.code(), Some(0));
    let note = format!("no pending file needs --override {second}");
    assert_parts(&String::from_utf8_lossy(&output.stderr), &[&note]);
}

#[tokio::test]
async fn override_that_nothing_needs_is_refused_unless_it_was_needed_before() {
    let project = two_indexes().await;
    let [second, third] = [2, 3].map(|version| format!("{RULE}@V{version}"));
    for (option, refusal) in [
        (
            "backfill",
            "no pending file needs --override backfill: leave it out",
        ),
        (&*third, "V3 does not need --override"),
        (
            "backfill@V9",
            "--override backfill@V9 names no file: the folder has no migration V9",
        ),
    ] {
        let arguments = ["staging", "--yes", "--override", option, "--reason", "x"];
        assert_parts(&fails(&project, &arguments).await, &[refusal]);
    }
    project.remove("V4__b.sql");
    // The only file that needs it.
    let bare = ["staging", "--yes", "--override", RULE, "--reason", "night"];
    succeeds(&project, &bare).await;
    // A later file, after the one that needed it: as the rest of an interrupted run.
    project.write("V5__add.sql", "ALTER TABLE small ADD COLUMN d int;");
    succeeds(&project, &bare).await;
    project.write("V6__add.sql", "ALTER TABLE small ADD COLUMN e int;");
    let arguments = [
        "staging",
        "--yes",
        "--override",
        &second,
        "--reason",
        "night",
    ];
    succeeds(&project, &arguments).await;
    assert_eq!(project.history().await.len(), 5);
    for (option, words) in [
        (
            "backfill@five",
            "backfill@five has no number of a file after the @",
        ),
        ("none@V5", "none is no rule of migrations"),
    ] {
        let arguments = ["staging", "--override", option, "--reason", "x"];
        let error = fails_with(&project, &arguments, 2).await;
        assert_parts(&error, &[words]);
    }
}

#[tokio::test]
async fn override_of_one_file_names_the_table_locks_of_that_file_too() {
    let both = "ALTER TABLE big ADD COLUMN c int;\nALTER TABLE small ADD COLUMN c int;";
    let project = shop().await;
    project.write("V2__a.sql", both);
    project.write("V3__b.sql", &both.replace("c int", "d int"));
    let arguments = |option| ["staging", "--yes", "--override", option, "--reason", "idle"];
    let error = fails(&project, &arguments("several-tables")).await;
    assert_parts(
        &error,
        &["--override several-tables@V3 --reason TEXT` for V3__b.sql"],
    );
    let error = fails(&project, &arguments("several-tables@V2")).await;
    assert_parts(&error, &["V3__b.sql locks several tables"]);
    assert!(!error.contains("V2__a.sql locks several tables"), "{error}");
}
