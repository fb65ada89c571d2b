//! Databases for which the classes count otherwise: empty ones, local ones, ones of another tool; rows that a script fills.

use stagelink_pipeline::{Class, MigrationOptions, MigrationPlan, migration_records};

use super::{assert_parts, fails, shop, succeeds};
use crate::migrations::{Project, options};

#[tokio::test]
async fn plan_without_enforcement_says_what_a_deployed_stage_does_with_each_file() {
    let project = shop().await;
    project.write("V2__add.sql", "ALTER TABLE small ADD COLUMN c int;");
    project.write("V3__drop.sql", "ALTER TABLE small DROP COLUMN a;");
    project.write("V4__add.sql", "ALTER TABLE small ADD COLUMN a int;");
    project.write("V5__code.sql", "CALL tidy.up(1);");
    let (stage, files) = (project.stage(), project.files().expect("the files"));
    let plan = MigrationPlan::make(&stage, &files, &options()).await;
    let plan = plan.expect("a plan");
    let found: Vec<_> = plan
        .pending()
        .map(|one| (one.admission, one.refusals.len(), one.on_deployed_stage))
        .collect();
    let deployed = ["applies", "waits", "held back", "refused"];
    assert_eq!(found, deployed.map(|one| ("applies", 0, Some(one))));
    let held_back: Vec<_> = plan
        .pending()
        .map(|one| one.held_back_on_deployed_stage)
        .collect();
    let because = held_back[2].expect("a reason");
    assert!(
        because.starts_with(
            "V3__drop.sql, which comes before it, waits until the code that runs now is gone"
        ),
        "{because}"
    );
    assert_eq!((held_back[0], held_back[1]), (None, None));
    let refusals: Vec<_> = plan
        .pending()
        .map(|one| one.refusals_on_deployed_stage)
        .collect();
    assert!(
        refusals[3][0].contains("or read the procedure tidy.up(), then override the rule"),
        "{refusals:?}"
    );
    // A plan of a deployed stage has one decision.
    let plan = MigrationPlan::make(&stage, &files, &MigrationOptions::default()).await;
    let plan = plan.expect("a plan");
    assert!(plan.pending().all(|one| one.on_deployed_stage.is_none()));
}

#[tokio::test]
async fn empty_database_takes_files_of_each_class() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a (b int, c int); INSERT INTO a SELECT n, n FROM generate_series(1, 50000) n;"),
        ("V2__b.sql", "CREATE INDEX a_b ON a (b);"),
        ("V3__c.sql", "ALTER TABLE a DROP COLUMN c; ALTER TABLE a ADD COLUMN d int;"),
        ("V4__d.sql", "DO $$ BEGIN PERFORM 1; END $$;"),
    ])
    .await;
    // An extension is no use of the database.
    let plan = succeeds(&project, &["staging", "--plan"]).await;
    assert_parts(
        &plan,
        &["the database is empty: files of each class are applied"],
    );
    succeeds(&project, &["staging", "--yes"]).await;
    assert_eq!(project.history().await.len(), 4);
    let records = migration_records(&project.stage()).await.expect("records");
    let classes: Vec<_> = records.iter().filter_map(|one| one.class).collect();
    assert_eq!(classes[2..], [Class::After, Class::Ask]);
    // From now on there is code that a change could break.
    project.write("V5__e.sql", "ALTER TABLE a DROP COLUMN d;");
    succeeds(&project, &["staging", "--yes"]).await;
    assert_eq!(project.history().await.len(), 4);
}

#[tokio::test]
async fn what_is_outside_of_an_empty_database_is_not_changed() {
    let project =
        Project::with(&[("V1__a.sql", "ALTER ROLE CURRENT_USER SET work_mem = '8MB';")]).await;
    let error = fails(&project, &["staging", "--yes"]).await;
    assert_parts(&error, &["ban-alter-role-options"]);
    // A table that another tool has made may have users.
    let project = Project::with(&[("V1__a.sql", "ALTER TABLE b DROP COLUMN c;")]).await;
    project.run("CREATE TABLE b (c int, d int)").await;
    let plan = succeeds(&project, &["staging", "--plan"]).await;
    assert_parts(&plan, &["V1__a.sql  (after, waits for --after)"]);
}

#[tokio::test]
async fn history_without_records_goes_on() {
    let project = shop().await;
    project.run("DROP TABLE stagelink_migration_records").await;
    assert_eq!(migration_records(&project.stage()).await.expect("none"), []);
    project.write("V2__add.sql", "ALTER TABLE small ADD COLUMN c int;");
    succeeds(&project, &["staging", "--yes"]).await;
    let records = migration_records(&project.stage()).await.expect("records");
    let versions: Vec<_> = records.iter().map(|one| one.version).collect();
    assert_eq!(versions, [2]);
}

#[tokio::test]
async fn many_rows_are_filled_in_the_forms_of_the_guide() {
    let guide = include_str!("../../../../docs/guides/migrations.md");
    let (_, section) = guide.split_once("### Fill many rows").expect("a section");
    let (_, block) = section.split_once("```sql\n").expect("an example");
    let (block, _) = block.split_once("```").expect("its end");
    let all_rows = "UPDATE guests SET mail = '';";
    let range = "UPDATE guests SET mail = '' WHERE id BETWEEN 1 AND 5000;";
    for (form, rule, limit) in [
        (range, "data-change", None),
        (all_rows, "backfill", Some("600")),
    ] {
        assert_parts(
            section,
            &[&format!("`{form}`"), &format!("--override {rule}@V5 ")],
        );
        assert_eq!(
            filled(form, rule, limit).await,
            [if limit.is_none() { "5000" } else { "20000" }]
        );
    }
    assert_parts(section, &["--override runs-code@V5 "]);
    assert_eq!(filled(block, "runs-code", None).await, ["20000"]);
}

/// Fills a column of a table of 20,000 rows by a file, which is refused without the override. Returns
/// the number of filled rows.
async fn filled(sql: &str, rule: &str, limit: Option<&str>) -> Vec<String> {
    let project = Project::with(&[(
        "V1__guests.sql",
        "CREATE TABLE guests AS SELECT n AS id, repeat('x', 100) AS name, NULL::text AS mail \
         FROM generate_series(1, 20000) n; ANALYZE;",
    )])
    .await;
    succeeds(&project, &["staging", "--yes"]).await;
    project.write("V2__fill.sql", sql);
    let error = fails(&project, &["staging", "--yes"]).await;
    assert_parts(&error, &[&format!("({rule})")]);
    let rule = format!("{rule}@V2");
    let mut arguments = vec!["staging", "--yes", "--override", &rule, "--reason", "read"];
    if let Some(limit) = limit {
        arguments.extend(["--time-limit", limit]);
    }
    succeeds(&project, &arguments).await;
    project
        .rows("SELECT count(*)::text FROM guests WHERE mail IS NOT NULL")
        .await
}
