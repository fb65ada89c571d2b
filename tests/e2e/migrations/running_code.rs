//! `stagelink migrate --after` beside the records of deploys: it waits for the code that needs the schema
//! as it is.

use serde_json::{Value, json};
use stagelink_pipeline::{MigrationList, drift, migration_records};

use super::Project;
use crate::history::Deploy;

/// Returns the record of a deploy whose function was built with the files that the project has now.
fn built_now<'a>(project: &Project, artifact: &'a str, age: &'a str) -> Deploy<'a> {
    let list = MigrationList::of(&project.files().expect("a folder"));
    Deploy {
        stage: "staging",
        artifact,
        age,
        outcome: "succeeded",
        functions: json!({ "guestbook": { "migrations": list.migrations() } }),
    }
}

/// A project whose first file is applied, and whose second one drops a column. Returns it with the record
/// of a deploy that was built without the second one.
async fn project(age: &'static str) -> (Project, Deploy<'static>) {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (b int, c int)")]).await;
    project.apply().await.expect("it ends well");
    let old = built_now(&project, "0123456789abcdef", age);
    project.write("V2__b.sql", "ALTER TABLE a DROP COLUMN c");
    (project, old)
}

/// Runs the command; returns whether it ended well, its output and its log.
async fn migrate(project: &Project, arguments: &[&str]) -> (bool, String, String) {
    let arguments = [&["staging", "--yes"], arguments].concat();
    let command = project.command(&arguments).await.output().await;
    let output = command.expect("it runs");
    let [text, log] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("a text"));
    assert!(
        !format!("{text}{log}").contains("c4n4ry-key"),
        "{text}{log}"
    );
    (output.status.success(), text, log)
}

#[tokio::test]
async fn after_is_refused_while_code_runs_that_was_built_without_the_file() {
    let (project, old) = project("2 days").await;
    old.record(&project).await;
    let (is_done, _, log) = migrate(&project, &["--after"]).await;
    assert!(!is_done);
    for part in [
        "the database of stage staging cannot take the migrations as they are, so nothing was applied",
        "V2__b.sql: artifact 0123456789ab runs since ",
        "its function guestbook was built without V2__b: deploy code that was built with it first",
        "--override after-code-runs@V2 --reason TEXT",
    ] {
        assert!(log.contains(part), "{log}");
    }
    assert_eq!(project.history().await, ["V1__a"]);
    let (is_done, plan, _) = migrate(&project, &["--after", "--plan", "--json"]).await;
    assert!(is_done);
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    assert_eq!(plan["is_refused"], true);
    assert_eq!(plan["pending"][0]["admission"], "refused");
    let refusal = plan["pending"][0]["refusals"][0]
        .as_str()
        .expect("a refusal");
    assert!(
        refusal.contains("artifact 0123456789ab runs since"),
        "{refusal}"
    );
    // A run before the deploy leaves the file, and does not ask about the code.
    let (is_done, text, _) = migrate(&project, &[]).await;
    assert!(is_done && text.contains("one waits for --after"), "{text}");
}

#[tokio::test]
async fn after_waits_for_the_rollback_window_of_the_settings_file() {
    let (project, old) = project("3 days").await;
    old.record(&project).await;
    built_now(&project, "fedcba9876543210", "2 hours")
        .record(&project)
        .await;
    let (is_done, _, log) = migrate(&project, &["--after"]).await;
    assert!(!is_done);
    for part in [
        "V2__b.sql: artifact 0123456789ab ran until ",
        "and a rollback may bring it back until ",
        "(policy.rollback_window)",
    ] {
        assert!(log.contains(part), "{log}");
    }
    assert!(!log.contains("fedcba"), "{log}");
    let settings = project.root().join("stagelink.toml");
    let window = "[stages.staging]\n[policy]\nrollback_window = \"90m\"\n";
    std::fs::write(settings, window).expect("a file");
    let (is_done, _, log) = migrate(&project, &["--after"]).await;
    assert!(is_done, "{log}");
    assert!(!log.contains("note: no deploy"), "{log}");
    assert_eq!(project.history().await, ["V1__a", "V2__b"]);
}

#[tokio::test]
async fn after_passes_with_an_override_that_the_database_keeps() {
    let (project, old) = project("2 days").await;
    old.record(&project).await;
    let option = [
        "--override",
        "after-code-runs",
        "--reason",
        "the column is unused",
    ];
    let (is_done, _, log) = migrate(&project, &[&["--after"], &option[..]].concat()).await;
    assert!(is_done, "{log}");
    let records = migration_records(&project.stage()).await.expect("records");
    let overridden = &records[1].overridden;
    assert_eq!(
        (&*overridden[0].rule, &*overridden[0].reason),
        ("after-code-runs", "the column is unused")
    );
    // Where no code stands in the way it is not needed, and a slip.
    project.write("V3__c.sql", "ALTER TABLE a DROP COLUMN b");
    built_now(&project, "fedcba9876543210", "0 s")
        .record(&project)
        .await;
    project
        .run("DELETE FROM stagelink_deploys WHERE artifact LIKE '0%'")
        .await;
    let option = [
        "--after",
        "--override",
        "after-code-runs@V3",
        "--reason",
        "x",
    ];
    let (is_done, _, log) = migrate(&project, &option).await;
    assert!(!is_done);
    assert!(
        log.contains("V3 does not need --override after-code-runs@V3"),
        "{log}"
    );
}

#[tokio::test]
async fn after_goes_on_without_a_record_and_says_that_it_does_not_know() {
    let (project, old) = project("2 days").await;
    // The database was copied from production's.
    let copied = Deploy {
        stage: "production",
        ..old
    };
    copied.record(&project).await;
    let (is_done, _, log) = migrate(&project, &["--after"]).await;
    assert!(is_done, "{log}");
    assert!(
        log.contains("note: no deploy of stage staging is recorded in its database"),
        "{log}"
    );
    assert_eq!(project.history().await, ["V1__a", "V2__b"]);
}

#[tokio::test]
async fn status_says_which_files_of_after_can_be_applied() {
    let (project, old) = project("2 days").await;
    let status = async || {
        let command = project.stagelink("status", &["staging"]).await;
        let output = { command }
            .env("COLUMNS", "180")
            .output()
            .await
            .expect("it runs");
        let text = String::from_utf8(output.stdout).expect("a text");
        let lines = text.lines().map(|line| line.trim_matches(['│', ' ']));
        let lines: Vec<_> = lines
            .map(|line| line.trim_start_matches(['┆', ' ']))
            .collect();
        lines.join(" ")
    };
    let text = status().await;
    assert!(text.contains("1 pending: V2__b"), "{text}");
    // Nothing is known of the code.
    assert!(
        !text.contains("V2__b of after") && !text.contains("V2__b waits"),
        "{text}"
    );
    old.record(&project).await;
    let text = status().await;
    assert!(
        text.contains("V2__b waits: artifact 0123456789ab runs since "),
        "{text}"
    );
    project.run("TRUNCATE stagelink_deploys").await;
    built_now(&project, "fedcba9876543210", "0 s")
        .record(&project)
        .await;
    let text = status().await;
    let words = "! V2__b of after can be applied now: `stagelink migrate staging --after`";
    assert!(text.contains(words), "{text}");
}

/// The tables of promotions are neither drift, nor do they make a database that is not empty.
#[tokio::test]
async fn tables_of_promotions_are_no_part_of_the_schema() {
    let project = Project::with(&[("V1__a.sql", "CREATE TABLE a (b int)")]).await;
    built_now(&project, "0123456789abcdef", "0 s")
        .record(&project)
        .await;
    project
        .run("CREATE TABLE stagelink_leases (stage text PRIMARY KEY)")
        .await;
    project.write("V2__b.sql", "ALTER TABLE a DROP COLUMN b");
    let (is_done, _, log) = migrate(&project, &[]).await;
    assert!(is_done, "{log}");
    assert_eq!(project.history().await, ["V1__a", "V2__b"]);
    project
        .run("ALTER TABLE stagelink_leases ADD COLUMN x int; DROP TABLE stagelink_deploys")
        .await;
    let found = drift(&project.stage()).await.expect("a comparison");
    let stagelink_pipeline::Drift::Compared { differences, .. } = found else {
        panic!("{found:?}");
    };
    assert!(differences.is_empty(), "{differences:?}");
    assert_eq!(project.tables().await, ["a"]);
}
