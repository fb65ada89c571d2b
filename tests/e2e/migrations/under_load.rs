//! A table of a million rows under load: no request fails while files of *before* are applied.

use std::fs;
use std::time::Instant;

use stagelink::{Database, Settings};
use stagelink_pipeline::{MigrationFolder, MigrationOptions, MigrationPlan};
use stagelink_tests::{HerokuFixture, Load, Plan, migrate, root, server};

use super::names;

const ROWS: &str = "INSERT INTO guestbook (name, message) \
                    SELECT 'name', 'message ' || n FROM generate_series(1, 1000000) n; \
                    ANALYZE guestbook;";

/// The steps of a project before a deploy, each a file of its own.
const FILES: [(&str, &str); 6] = [
    (
        "V901__mail.sql",
        "ALTER TABLE guestbook ADD COLUMN mail text;",
    ),
    (
        "V902__likes.sql",
        "ALTER TABLE guestbook ADD COLUMN likes int NOT NULL DEFAULT 0;",
    ),
    (
        "V903__index.sql",
        "CREATE INDEX CONCURRENTLY guestbook_name ON guestbook (name, created_at);",
    ),
    (
        "V904__answers.sql",
        "CREATE TABLE answers (id bigint PRIMARY KEY, entry bigint REFERENCES guestbook (id));",
    ),
    (
        "V905__reindex.sql",
        "REINDEX INDEX CONCURRENTLY guestbook_name;",
    ),
    ("V906__vacuum.sql", "VACUUM (ANALYZE) guestbook;"),
];

#[tokio::test]
async fn million_rows_under_load_are_migrated_without_a_failed_request() {
    let fixture = HerokuFixture::new().await;
    migrate(&fixture.variables).await;
    let db = server()
        .await
        .connect_as_superuser_to(&fixture.database)
        .await
        .expect("the database is there");
    db.batch_execute(ROWS).await.expect("a million rows");

    let folder = tempfile::tempdir().expect("a folder");
    for file in fs::read_dir(root().join("migrations")).expect("the migrations") {
        let file = file.expect("a file");
        let copied = fs::copy(file.path(), folder.path().join(file.file_name()));
        copied.expect("a copy");
    }
    for (name, sql) in FILES {
        fs::write(folder.path().join(name), sql).expect("a file");
    }
    let files = MigrationFolder::read(folder.path()).expect("a folder");
    let settings = Settings::from_vars(&fixture.variables);
    let database = Database::new(settings.map(Settings::without_pooler));
    // As on a stage: with the classes, before the deploy.
    let options = MigrationOptions::default();

    let function = fixture.function("guestbook").await;
    let load = Load::start(fixture.target(&function), Plan::default());
    load.wait_for_answers(100).await;
    let started = Instant::now();
    let plan = MigrationPlan::make(&database, &files, &options).await;
    let report = plan
        .expect("a plan")
        .apply(&database, &options, &|_| ())
        .await;
    let report = report.expect("it ends well");
    println!("six files on a million rows took {:?}", started.elapsed());
    assert_eq!(names(&report).len(), FILES.len());
    assert!(report.waiting.is_empty());
    load.wait_for_answers(100).await;
    let load = load.stop().await;
    println!("{load}");
    assert_eq!(load.failures().count(), 0, "{load}");
    function.shutdown().await;
}
