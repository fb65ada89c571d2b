//! Files of *after* as `stagelink migrate` enforces them: they wait, hold others back, and pass by an override.

use serde_json::Value;
use stagelink_pipeline::{Class, migration_records};

use super::{assert_parts, fails, shop, succeeds};

#[tokio::test]
async fn file_of_after_waits_for_the_run_after_the_deploy() {
    let project = shop().await;
    project.write("V2__add.sql", "ALTER TABLE big ADD COLUMN c int;");
    project.write("V3__drop.sql", "ALTER TABLE small DROP COLUMN a;");
    project.write("V4__add.sql", "ALTER TABLE big ADD COLUMN d int;");
    let plan = succeeds(&project, &["staging", "--plan"]).await;
    assert_parts(
        &plan,
        &[
            "V2__add.sql  (before)",
            "V3__drop.sql  (after, waits for --after)",
            "1 applied, 3 pending: 2 to apply, 0 refused, 1 waiting",
            "line 1: after: the code that runs now may still use the column (ban-drop-column). Deploy \
             code that works after the change, then run `stagelink migrate staging --after`",
        ],
    );
    assert!(!plan.contains("would be refused"), "{plan}");
    let done = succeeds(&project, &["staging", "--yes"]).await;
    assert_parts(
        &done,
        &["2 applied to stage staging; one waits for --after"],
    );
    assert_eq!(project.history().await, ["V1__shop", "V2__add", "V4__add"]);
    // Nothing is left to do before the deploy.
    let again = succeeds(&project, &["staging", "--yes"]).await;
    assert_parts(
        &again,
        &["nothing to apply to stage staging now; one waits"],
    );
    // Though its number is lower than the newest one's.
    let after = succeeds(&project, &["staging", "--after", "--yes", "--json"]).await;
    let after: Value = serde_json::from_str(&after).expect("JSON");
    assert_eq!(after["applied"][0]["file"], "V3__drop.sql");
    assert_eq!(after["pending"][0]["admission"], "applies");
    let records = migration_records(&project.stage()).await.expect("records");
    let found: Vec<_> = records
        .iter()
        .map(|one| (one.version, one.class, &*one.waiting))
        .collect();
    assert_eq!(
        found,
        [
            (1, Some(Class::Before), &[][..]),
            (2, Some(Class::Before), &[]),
            (4, Some(Class::Before), &[3]),
            (3, Some(Class::After), &[]),
        ]
    );
    assert_eq!(records[1].role, project.database.role());
    assert!(records[1].applied_at.ends_with('Z'), "{:?}", records[1]);
}

#[tokio::test]
async fn file_that_is_older_and_did_not_wait_is_still_refused() {
    let project = shop().await;
    project.write("V3__add.sql", "ALTER TABLE big ADD COLUMN c int;");
    succeeds(&project, &["staging", "--yes"]).await;
    project.write("V2__drop.sql", "ALTER TABLE small DROP COLUMN a;");
    let error = fails(&project, &["staging", "--yes", "--after"]).await;
    assert_parts(&error, &["V2__drop is not applied, and V3__add"]);
}

#[tokio::test]
async fn file_of_before_does_not_pass_one_of_after_on_the_same_table() {
    let project = shop().await;
    project.write("V2__add.sql", "ALTER TABLE big ADD COLUMN c int;");
    project.write("V3__drop.sql", "ALTER TABLE small DROP COLUMN a;");
    project.write("V4__again.sql", "ALTER TABLE small ADD COLUMN a text;");
    project.write("V5__more.sql", "CREATE TABLE more (id int);");
    let error = fails(&project, &["staging", "--yes"]).await;
    assert_parts(
        &error,
        &[
            "V4__again.sql is held back: V3__drop.sql, which comes before it, waits until \
             the code that runs now is gone, and both use public.small",
            "apply V3__drop.sql with --after",
            "the file before it stays applied",
        ],
    );
    assert_eq!(project.history().await, ["V1__shop", "V2__add"]);
    let error = fails(&project, &["staging", "--yes"]).await;
    assert_parts(&error, &["V4__again.sql is held back"]);
    // After the deploy of the code that V2 is for, both go in their order.
    succeeds(&project, &["staging", "--after", "--yes"]).await;
    assert_eq!(project.history().await.len(), 5);
}

#[tokio::test]
async fn file_of_after_is_not_applied_in_the_run_of_its_own_before() {
    let project = shop().await;
    project.write("V2__add.sql", "ALTER TABLE small ADD COLUMN c int;");
    project.write("V3__drop.sql", "ALTER TABLE small DROP COLUMN a;");
    let error = fails(&project, &["staging", "--after", "--yes"]).await;
    assert_parts(
        &error,
        &[
            "V3__drop.sql is held back",
            "deploy the code, and run the command",
        ],
    );
    assert_eq!(project.history().await, ["V1__shop", "V2__add"]);
    succeeds(&project, &["staging", "--after", "--yes"]).await;
    assert_eq!(project.history().await.len(), 3);
}

#[tokio::test]
async fn files_of_a_safe_form_wait_together_and_are_applied_in_their_order() {
    let project = shop().await;
    project.write(
        "V2__check.sql",
        "ALTER TABLE big ADD CONSTRAINT there CHECK (a IS NOT NULL) NOT VALID;",
    );
    project.write(
        "V3__not_null.sql",
        "ALTER TABLE big VALIDATE CONSTRAINT there; ALTER TABLE big ALTER COLUMN a SET NOT NULL;",
    );
    project.write("V4__drop.sql", "ALTER TABLE big DROP CONSTRAINT there;");
    project.write("V5__add.sql", "ALTER TABLE small ADD COLUMN c int;");
    let done = succeeds(&project, &["staging", "--yes"]).await;
    assert_parts(&done, &["V5__add.sql"]);
    assert_eq!(project.history().await, ["V1__shop", "V5__add"]);
    succeeds(&project, &["staging", "--after", "--yes"]).await;
    assert_eq!(project.history().await.len(), 5);
}

#[tokio::test]
async fn file_of_after_passes_before_the_deploy_by_an_override() {
    let project = shop().await;
    project.write("V2__drop.sql", "ALTER TABLE small DROP COLUMN a;");
    project.write("V3__add.sql", "ALTER TABLE small ADD COLUMN a text;");
    let arguments = [
        "staging",
        "--yes",
        "--override",
        "ban-drop-column",
        "--reason",
        "unused",
    ];
    succeeds(&project, &arguments).await;
    let records = migration_records(&project.stage()).await.expect("records");
    let classes: Vec<_> = records.iter().filter_map(|one| one.class).collect();
    assert_eq!(classes, [Class::Before, Class::After, Class::Before]);
}
