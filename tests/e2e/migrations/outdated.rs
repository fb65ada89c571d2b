//! Plans that no longer hold when their run has the lock: tables that have grown, files that another run
//! has applied, a database that was empty.

use std::time::Duration;

use serde_json::Value;
use stagelink::tokio_postgres::Client;
use stagelink_pipeline::{
    DeployPhase, Disagreement, Enforcement, Error, ErrorKind, MigrationOptions, MigrationPlan,
    MigrationReport, RuleOverride, migration_records,
};

use super::enforcement::{assert_parts, shop, stdout, succeeds};
use super::{Project, names, until};

/// Makes small of `shop` large.
const FILL: &str =
    "INSERT INTO small SELECT n, n, n FROM generate_series(1, 60000) n; ANALYZE small";

async fn plan_with(project: &Project, options: &MigrationOptions) -> MigrationPlan {
    let (stage, files) = (project.stage(), project.files().expect("the files"));
    let plan = MigrationPlan::make(&stage, &files, options).await;
    plan.expect("a plan")
}

async fn plan(project: &Project) -> MigrationPlan {
    plan_with(project, &MigrationOptions::default()).await
}

async fn apply(project: &Project, plan: &MigrationPlan) -> Result<MigrationReport, Error> {
    let options = MigrationOptions::default();
    plan.apply(&project.stage(), &options, &|_| ()).await
}

async fn is_refused(project: &Project, plan: &MigrationPlan, parts: &[&str]) {
    let error = apply(project, plan).await.expect_err("it is outdated");
    assert_eq!(error.kind(), ErrorKind::Migration, "{error}");
    let headline = "the plan for the database of stage staging is outdated, so nothing was applied";
    assert_parts(&error.to_string(), &[&[headline], parts].concat());
}

#[tokio::test]
async fn table_that_has_grown_since_the_plan_stops_the_run_before_its_first_statement() {
    let project = shop().await;
    project.write("V2__add.sql", "ALTER TABLE big ADD COLUMN c int;");
    project.write("V3__index.sql", "CREATE INDEX small_a ON small (a);");
    let made = plan(&project).await;
    made.ensure_admitted().expect("it is small");
    project.run(FILL).await;
    is_refused(
        &project,
        &made,
        &[
            "V3__index.sql was before when it was planned; now it is stop, and is refused, since \
             public.small has about 60000 rows in ",
            " MB, 0 kB before",
            "V3__index.sql line 1: writers of the table wait while the index is built \
             (require-concurrent-index-creation): write in its place: CREATE INDEX CONCURRENTLY",
        ],
    )
    .await;
    assert_eq!(project.history().await, ["V1__shop"]);
    let columns = "SELECT 'c' FROM information_schema.columns WHERE column_name = 'c'";
    assert!(project.rows(columns).await.is_empty());
    // The same plan goes on once it holds again.
    project.run("TRUNCATE small").await;
    let report = apply(&project, &made).await.expect("it is small again");
    assert_eq!(names(&report), ["V2__add", "V3__index"]);
}

#[tokio::test]
async fn text_that_was_judged_is_the_text_that_runs() {
    let project = shop().await;
    project.write("V2__add.sql", "ALTER TABLE small ADD COLUMN c int;");
    let made = plan(&project).await;
    project.write("V2__add.sql", "DROP TABLE big;");
    apply(&project, &made).await.expect("it runs");
    assert_eq!(project.tables().await, ["big", "small"]);
    // The history has the sum of what ran.
    let error = project.refused().await;
    assert_parts(&error, &["V2__add.sql was edited since"]);
}

#[tokio::test]
async fn file_that_would_wait_or_needs_a_person_by_now_stops_the_run() {
    let project = shop().await;
    project.write("V2__change.sql", "UPDATE small SET a = 1 WHERE id = 5;");
    let made = plan(&project).await;
    project
        .run(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN EXECUTE TG_ARGV[0]; RETURN NULL; END'; \
             CREATE TRIGGER note AFTER UPDATE ON small EXECUTE FUNCTION note()",
        )
        .await;
    is_refused(
        &project,
        &made,
        &[
            "V2__change.sql was before when it was planned; now it is ask, and is refused, since \
             public.small has a trigger",
            "--override data-change@V2 --reason TEXT",
        ],
    )
    .await;
    project.remove("V2__change.sql");
    // A view that did not exist: to replace it changes what running code reads.
    project.write("V3__view.sql", "CREATE OR REPLACE VIEW v AS SELECT 2 AS a;");
    let made = plan(&project).await;
    project.run("CREATE VIEW v AS SELECT 1 AS a").await;
    let now = "now it is ask, and is refused, since public.v was created";
    is_refused(&project, &made, &["V3__view.sql was before", now]).await;
    assert_eq!(project.history().await, ["V1__shop"]);
}

#[tokio::test]
async fn database_that_is_no_longer_empty_gets_nothing() {
    let project = Project::with(&[
        ("V1__a.sql", "CREATE TABLE a (b int);"),
        ("V2__old.sql", "DROP TABLE IF EXISTS visits;"),
        ("V3__code.sql", "DO 'BEGIN END';"),
    ])
    .await;
    let made = plan(&project).await;
    assert!(made.is_of_empty_database());
    project.run("CREATE TABLE visits (at timestamptz)").await;
    is_refused(
        &project,
        &made,
        &[
            "the database was empty when the plan was made, so that files of each class were to be \
             applied, and is not any more: it has public.visits",
            "V2__old.sql was before when it was planned; now it is after, and waits for a run with \
             --after, since public.visits was created",
            "V3__code.sql (ask) was to be applied when it was planned; now it is held back (V2__old.sql",
            "V3__code.sql line 1: it runs code",
        ],
    )
    .await;
    assert!(project.history().await.is_empty());
    assert_eq!(project.tables().await, ["visits"]);
    // Nothing was left that makes it look used.
    project.run("DROP TABLE visits").await;
    let report = apply(&project, &made).await.expect("it is empty again");
    assert_eq!(report.applied.len(), 3);
}

#[tokio::test]
async fn run_goes_on_after_another_one_has_applied_the_same_files() {
    let project = shop().await;
    project.write("V2__add.sql", "ALTER TABLE big ADD COLUMN c int;");
    project.write("V3__drop.sql", "ALTER TABLE small DROP COLUMN a;");
    project.write("V4__new.sql", "CREATE TABLE new (a int);");
    let plans = [plan(&project).await, plan(&project).await];
    let first = apply(&project, &plans[0]).await.expect("it applies");
    assert_eq!(names(&first), ["V2__add", "V4__new"]);
    // V3 waits, and is older than V4 by now: the other run's records say that it waited.
    let second = apply(&project, &plans[1]).await.expect("nothing is left");
    assert_eq!((second.applied.len(), second.by_others.len()), (0, 2));
    assert_eq!(second.waiting.len(), 1);
    // A run that was interrupted leaves a part.
    project.write("V5__more.sql", "CREATE TABLE more (a int);");
    let made = {
        project.write("V6__last.sql", "CREATE INDEX more_a ON more (a);");
        plan(&project).await
    };
    project.remove("V6__last.sql");
    apply(&project, &plan(&project).await).await.expect("V5");
    let report = apply(&project, &made).await.expect("the rest");
    assert_eq!(names(&report), ["V6__last"]);
    let records = migration_records(&project.stage()).await.expect("records");
    assert_eq!(records.last().expect("a record").waiting, [3]);
}

#[tokio::test]
async fn plan_is_outdated_by_what_another_run_has_applied() {
    let project = shop().await;
    // The other run has a part of the files, as one that was killed, and the table grows meanwhile.
    project.write("V2__column.sql", "ALTER TABLE small ADD more int;");
    project.write("V3__index.sql", "CREATE INDEX small_a ON small (a);");
    let made = plan(&project).await;
    project.remove("V3__index.sql");
    succeeds(&project, &["staging", "--yes"]).await;
    project.run(FILL).await;
    let now = "V3__index.sql was before when it was planned; now it is stop";
    is_refused(&project, &made, &[now]).await;
    project.write("V3__index.sql", "CREATE TABLE other (a int);");
    // A file of the number and name with another text.
    let made = plan(&project).await;
    project.write("V3__index.sql", "CREATE TABLE another (a int);");
    succeeds(&project, &["staging", "--yes"]).await;
    let error = apply(&project, &made).await.expect_err("it differs");
    assert_parts(
        &error.to_string(),
        &[
            "the migrations do not fit the database",
            "another run has applied V3__index since the plan was made, with another text than the \
             file of V3__index here",
        ],
    );
    assert_eq!(project.tables().await, ["another", "big", "small"]);
}

#[tokio::test]
async fn disagreement_that_the_plan_did_not_show_is_not_passed_over() {
    let project = shop().await;
    let mut options = MigrationOptions::default();
    options.allowed = vec![Disagreement::Older];
    project.write("V2__a.sql", "CREATE TABLE a (b int);");
    project.write("V3__b.sql", "CREATE TABLE b (b int);");
    let made = plan_with(&project, &options).await;
    project.remove("V2__a.sql");
    succeeds(&project, &["staging", "--yes"]).await;
    project.write("V2__a.sql", "CREATE TABLE a (b int);");
    let stage = project.stage();
    let error = made.apply(&stage, &options, &|_| ()).await;
    let error = error.expect_err("it was not shown").to_string();
    assert_parts(
        &error,
        &[
            "V2__a is not applied, and V3__b",
            "the plan did not show it",
        ],
    );
    // A plan that shows it is applied.
    let made = plan_with(&project, &options).await;
    let report = made.apply(&stage, &options, &|_| ()).await;
    assert_eq!(names(&report.expect("it is allowed")), ["V2__a"]);
}

#[tokio::test]
async fn override_still_holds_for_the_file_that_it_named() {
    let project = shop().await;
    project.write("V2__index.sql", "CREATE INDEX big_a ON big (a);");
    project.write("V3__index.sql", "CREATE INDEX small_a ON small (a);");
    let rule = "require-concurrent-index-creation";
    let mut options = MigrationOptions::default();
    // V2 alone needs it when the plan is made.
    options.overrides = vec![RuleOverride::new(rule, "night").expect("an override")];
    let made = plan_with(&project, &options).await;
    made.ensure_admitted().expect("it is overridden");
    project.run(FILL).await;
    let error = made.apply(&project.stage(), &options, &|_| ()).await;
    let error = error.expect_err("V3 is not overridden").to_string();
    assert_parts(
        &error,
        &["V3__index.sql was before when it was planned; now it is stop"],
    );
    assert!(!error.contains("V2__index.sql"), "{error}");
    project.run("TRUNCATE small").await;
    let report = made.apply(&project.stage(), &options, &|_| ()).await;
    assert_eq!(report.expect("it is small again").applied.len(), 2);
    let records = migration_records(&project.stage()).await.expect("records");
    let overridden: Vec<_> = records.iter().map(|one| one.overridden.len()).collect();
    assert_eq!(overridden, [0, 1, 0]);
}

#[tokio::test]
async fn change_after_the_deploy_and_less_strict_judgements_do_not_stop_a_run() {
    let project = shop().await;
    let mut options = MigrationOptions::default();
    options.enforcement = Enforcement::OfStage(DeployPhase::After);
    project.write("V2__drop.sql", "ALTER TABLE small DROP COLUMN a;");
    let made = plan_with(&project, &options).await;
    project.run(FILL).await;
    let report = made.apply(&project.stage(), &options, &|_| ()).await;
    assert_eq!(names(&report.expect("it is fast")), ["V2__drop"]);
    // One that waits in the plan is not applied, though it could be by now.
    project.write("V3__drop.sql", "DROP VIEW IF EXISTS v;");
    project.write("V4__add.sql", "ALTER TABLE big ADD COLUMN d int;");
    project.run("CREATE VIEW v AS SELECT 1 AS a").await;
    let made = plan(&project).await;
    project.run("DROP VIEW v").await;
    let report = apply(&project, &made).await.expect("V4");
    assert_eq!(names(&report), ["V4__add"]);
    let records = migration_records(&project.stage()).await.expect("records");
    assert_eq!(records.last().expect("a record").waiting, [3]);
}

/// Begins a transaction that locks a table against readers.
async fn lock(project: &Project, table: &str) -> Client {
    let session = project.session().await;
    let lock = format!("BEGIN; LOCK TABLE {table}");
    session.batch_execute(&lock).await.expect("the lock");
    session
}

#[tokio::test]
async fn table_that_is_locked_for_a_moment_is_waited_for() {
    let project = shop().await;
    project.write("V2__index.sql", "CREATE INDEX small_a ON small (a);");
    let made = plan(&project).await;
    let locker = lock(&project, "small").await;
    let mut options = MigrationOptions::default();
    options.wait = Duration::from_secs(1);
    let error = made.apply(&project.stage(), &options, &|_| ()).await;
    let error = error.expect_err("it is locked");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_parts(
        &error.to_string(),
        &[
            "the plan for the database of stage staging could not be judged again",
            "public.small is locked by another session, so its size is not known",
        ],
    );
    let ends = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        locker.batch_execute("COMMIT").await.expect("a commit");
    };
    let (report, ()) = tokio::join!(apply(&project, &made), ends);
    assert_eq!(names(&report.expect("it is free")), ["V2__index"]);
}

#[tokio::test]
async fn command_whose_plan_is_outdated_while_it_waits_for_another_says_so() {
    let project = shop().await;
    project.write("V2__index.sql", "CREATE INDEX small_a ON small (a);");
    let other = project.session().await;
    let lock = "SELECT pg_advisory_lock(('x' || encode('stagelin', 'hex'))::bit(64)::bigint)";
    other.batch_execute(lock).await.expect("the lock");
    let mut command = project.command(&["staging", "--yes", "--json"]).await;
    let command = command.spawn().expect("it starts");
    let polls = "SELECT 'yes' FROM pg_stat_activity WHERE application_name = 'stagelink migrate' \
                 AND query LIKE '%pg_locks%' AND datname = current_database()";
    until("the lock is polled for", async || {
        !project.rows(polls).await.is_empty()
    })
    .await;
    project.run(FILL).await;
    drop(other);
    let output = command.wait_with_output().await.expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let error: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let headline = error["error"].as_str().expect("a text");
    assert_parts(
        headline,
        &["the plan for the database of stage staging is outdated"],
    );
    let detail = error["details"][0].as_str().expect("a detail");
    assert_parts(
        detail,
        &["V2__index.sql was before when it was planned; now it is stop"],
    );
    assert_eq!(error["is_retryable"], false);
    assert_eq!(error["pending"][0]["file"], "V2__index.sql");
    assert_eq!(project.history().await, ["V1__shop"]);
}

#[tokio::test]
async fn run_that_waited_for_one_of_the_same_plan_has_nothing_to_apply() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (b int, c int)")]).await;
    project.applied().await;
    project.write("V2__drop.sql", "ALTER TABLE a DROP COLUMN c");
    project.write("V3__d.sql", "CREATE TABLE d ()");
    let options = MigrationOptions::default();
    let (database, files) = (project.stage(), project.files().expect("files"));
    let make = || MigrationPlan::make(&database, &files, &options);
    let (first, second) = (make().await.expect("a plan"), make().await.expect("a plan"));
    let report = first.apply(&database, &options, &|_| ()).await;
    assert_eq!(names(&report.expect("it applies")), ["V3__d"]);
    // The file that waits is older than the newest one by now.
    let report = second.apply(&database, &options, &|_| ()).await;
    let report = report.expect("another run has applied all");
    assert!(report.applied.is_empty());
    assert_eq!(report.by_others.len(), 1);
    assert_eq!(report.waiting.len(), 1);
}
