//! The classes of files as `stagelink migrate` enforces them: before, after, stop, ask, and overrides.

use std::process::Output;

use serde_json::Value;
use stagelink_pipeline::{Class, MigrationOptions, MigrationPlan, migration_records};

use super::{Project, options};

pub(super) async fn run(project: &Project, arguments: &[&str]) -> Output {
    let output = project.command(arguments).await.output().await;
    output.expect("the command runs")
}

pub(super) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the command, which has to succeed, and returns its standard output.
pub(super) async fn succeeds(project: &Project, arguments: &[&str]) -> String {
    let output = run(project, arguments).await;
    let (out, error) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {out}{error}");
    out
}

/// Runs the command, which has to fail, and returns its standard error.
pub(super) async fn fails(project: &Project, arguments: &[&str]) -> String {
    fails_with(project, arguments, 1).await
}

pub(super) async fn fails_with(project: &Project, arguments: &[&str], code: i32) -> String {
    let output = run(project, arguments).await;
    let (out, error) = (stdout(&output), stderr(&output));
    let found = output.status.code();
    assert_eq!(found, Some(code), "{arguments:?}: {out}{error}");
    error
}

pub(super) fn assert_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// Makes a project whose database has two tables, the first of which is not small.
pub(super) async fn shop() -> Project {
    let project = Project::with(&[(
        "V1__shop.sql",
        "CREATE TABLE big AS SELECT n AS id, n AS a, repeat('x', 100) AS b \
         FROM generate_series(1, 20000) n; \
         CREATE TABLE small (id int, a int, b int); ANALYZE;",
    )])
    .await;
    succeeds(&project, &["staging", "--yes"]).await;
    project
}

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

#[tokio::test]
async fn many_rows_are_filled_in_the_forms_of_the_guide() {
    let guide = include_str!("../../../docs/guides/migrations.md");
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
