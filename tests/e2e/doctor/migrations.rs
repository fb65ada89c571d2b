//! Findings about migrations: names, pending files, and a history that disagrees.

use std::fs;
use std::time::{Duration, Instant};

use stagelink_cli::build::zip;
use stagelink_pipeline::{MigrationFolder, MigrationList};
use stagelink_tests::server;

use super::{FEW, Patient};

const NOTES: &str = "CREATE TABLE notes (id bigint PRIMARY KEY);\n";

#[tokio::test]
async fn file_that_would_be_skipped_is_renamed_as_advised() {
    let (patient, ..) = Patient::new().await;
    patient.write("migrations/V1__notes.sql", NOTES);
    patient.succeeds(&["migrate", "staging", "--yes"]).await;
    patient.write(
        "migrations/V2_mail.sql",
        "ALTER TABLE notes ADD COLUMN mail text;\n",
    );
    let examined = patient.examine("staging", &FEW).await;
    examined.finding(
        "migration-files",
        "error",
        &["V2_mail.sql", "rename it to V2__mail.sql"],
    );
    assert_eq!(examined.code, 2);
    assert_eq!(examined.of("migrations").len(), 1, "{}", examined.json);
    examined.assert_not_checked("migrations", "see migration-files");
    // The comparison of the schema needs no file.
    examined.assert_sound("drift");
    fs::rename(
        patient.path("migrations/V2_mail.sql"),
        patient.path("migrations/V2__mail.sql"),
    )
    .expect("a file");
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_sound("migration-files");
    examined.finding("migrations", "warning", &["V2__mail is not applied"]);
}

#[tokio::test]
async fn pending_migrations_are_applied_as_advised() {
    let (patient, ..) = Patient::new().await;
    patient.write("migrations/V1__notes.sql", NOTES);
    patient.write(
        "migrations/V2__mail.sql",
        "ALTER TABLE notes ADD COLUMN mail text;\n",
    );
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("migrations", "warning", &["2 migrations", "V2__mail"]);
    patient.follow(&advice).await;
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("migrations");
}

#[tokio::test]
async fn edited_and_missing_files_are_restored_as_advised() {
    let (patient, ..) = Patient::new().await;
    patient.write("migrations/V1__notes.sql", NOTES);
    patient.write(
        "migrations/V2__mail.sql",
        "ALTER TABLE notes ADD COLUMN mail text;\n",
    );
    patient.succeeds(&["migrate", "staging", "--yes"]).await;
    patient.write("migrations/V1__notes.sql", "CREATE TABLE other ();\n");
    let examined = patient.examine("staging", &FEW).await;
    examined.finding(
        "migrations",
        "error",
        &["was edited since: restore the file"],
    );
    patient.write("migrations/V1__notes.sql", NOTES);
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("migrations");

    let (path, kept) = (
        patient.path("migrations/V2__mail.sql"),
        patient.root().join("kept"),
    );
    fs::rename(&path, &kept).expect("a file");
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("migrations", "error", &["V2__mail was applied"]);
    assert!(advice.contains("bring it back"), "{advice}");
    fs::rename(&kept, &path).expect("a file");
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("migrations");
}

#[tokio::test]
async fn schema_that_was_changed_by_other_means_is_undone_or_accepted_as_advised() {
    let (patient, staging, _) = Patient::new().await;
    patient.write("migrations/V1__notes.sql", NOTES);
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_not_checked("drift", "has kept the schema yet");
    patient.succeeds(&["migrate", "staging", "--yes"]).await;
    patient.examine("staging", &FEW).await.assert_sound("drift");
    let session = server().await.connect(&staging).await.expect("a session");
    let run = async |sql: &str| session.batch_execute(sql).await.expect(sql);
    run("ALTER TABLE notes ADD COLUMN mail text").await;
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("drift", "warning", &["notes.mail is unexpected"]);
    assert!(advice.contains("undo it"), "{advice}");
    run("ALTER TABLE notes DROP COLUMN mail").await;
    patient.examine("staging", &FEW).await.assert_sound("drift");
    run("ALTER TABLE notes ADD COLUMN mail text").await;
    patient.follow(&advice).await;
    patient.examine("staging", &FEW).await.assert_sound("drift");

    // An update of stagelink does not report what an older one kept in another form.
    run("UPDATE stagelink_schema_snapshot SET objects = '{\"objects\":[]}'").await;
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_not_checked("drift", "migrate drift staging --accept`");
    patient
        .succeeds(&["migrate", "drift", "staging", "--accept", "--yes"])
        .await;
    patient.examine("staging", &FEW).await.assert_sound("drift");
}

#[tokio::test]
async fn history_that_is_locked_is_not_waited_for() {
    let (patient, staging, _) = Patient::new().await;
    patient.write("migrations/V1__notes.sql", NOTES);
    patient.succeeds(&["migrate", "staging", "--yes"]).await;
    let session = server().await.connect(&staging).await.expect("a session");
    let lock = "BEGIN; LOCK TABLE refinery_schema_history";
    session.batch_execute(lock).await.expect("a lock");
    let begun = Instant::now();
    let examined = patient.examine("staging", &FEW).await;
    assert!(begun.elapsed() < Duration::from_secs(15));
    for id in ["migrations", "drift"] {
        examined.assert_not_checked(id, "lock timeout");
    }
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted \
                   AND relation = 'refinery_schema_history'::regclass";
    let waiting = session.query_one(waiting, &[]).await.expect("a count");
    assert_eq!(waiting.get::<_, i64>(0), 0, "a session stays behind");
    session.batch_execute("ROLLBACK").await.expect("it ends");
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_sound("migrations");
    examined.assert_sound("drift");
}

#[tokio::test]
async fn built_functions_are_held_against_the_history() {
    let (patient, ..) = Patient::new().await;
    patient.write("migrations/V1__notes.sql", NOTES);
    patient.succeeds(&["migrate", "staging", "--yes"]).await;
    patient.write(
        "migrations/V2__mail.sql",
        "ALTER TABLE notes ADD COLUMN mail text;\n",
    );
    let build = || build_to(&patient, "dist/functions/notes");
    build();
    patient.write("migrations/V3_odd.sql", "SELECT 1;\n");
    let examined = patient.examine("staging", &FEW).await;
    assert_eq!(examined.of("artifacts").len(), 1, "{}", examined.json);
    examined.assert_not_checked("artifacts", "see migration-files");
    fs::remove_file(patient.path("migrations/V3_odd.sql")).expect("a file");
    let examined = patient.examine("staging", &FEW).await;
    let missing = ["built function notes", "V2__mail is not applied"];
    let advice = examined.finding("artifacts", "warning", &missing);
    patient.follow(&advice).await;
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("artifacts");
    // Another checkout has dropped what this build may use.
    patient.write(
        "migrations/V3__no_mail.sql",
        "ALTER TABLE notes DROP COLUMN mail;\n",
    );
    let after = ["migrate", "staging", "--after", "--yes"];
    patient.succeeds(&after).await;
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("artifacts", "error", &["cannot run here", "V3__no_mail"]);
    assert!(advice.contains("`stagelink build`"), "{advice}");
    build();
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("artifacts");
}

/// Puts a program with the project's migrations at a path, as `stagelink build` does.
fn build_to(patient: &Patient, path: &str) {
    let folder = MigrationFolder::read(&patient.path("migrations")).expect("migrations");
    let program = fs::read("/bin/true").expect("a program");
    let program = MigrationList::of(&folder).write_into(&program);
    let program = program.expect("a list");
    let path = patient.path(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let content = match path.extension() {
        Some(_) => zip(&program).expect("a zip"),
        None => program,
    };
    fs::write(path, content).expect("a file");
}

#[tokio::test]
async fn artifact_that_is_out_of_date_is_named_until_it_is_built_again_or_removed() {
    let (patient, ..) = Patient::new().await;
    patient.write("migrations/V1__notes.sql", NOTES);
    let (new, stale) = ("dist/functions/notes", "dist/lambda/arm64/notes.zip");
    build_to(&patient, new);
    build_to(&patient, stale);
    patient.succeeds(&["migrate", "staging", "--yes"]).await;
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_sound("artifacts");
    patient.write(
        "migrations/V2__mail.sql",
        "ALTER TABLE notes ADD COLUMN mail text;\n",
    );
    patient.succeeds(&["migrate", "staging", "--yes"]).await;
    build_to(&patient, new);
    let examined = patient.examine("staging", &FEW).await;
    let words = [
        "function notes were built with different migrations",
        "functions/notes lists 2; ",
        "arm64/notes.zip lists 1",
    ];
    let advice = examined.finding("artifacts", "warning", &words);
    assert!(advice.contains("remove the other files"), "{advice}");
    build_to(&patient, stale);
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_sound("artifacts");
    // A file that cannot be read is no reason to be silent about the others, nor to call all sound.
    patient.write(stale, "PK and no more");
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_not_checked("artifacts", "could not read the artifact");
    fs::remove_file(patient.path(stale)).expect("a file");
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_sound("artifacts");
}
