//! Findings about migrations: names, pending files, and a history that disagrees.

use std::fs;

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
}
