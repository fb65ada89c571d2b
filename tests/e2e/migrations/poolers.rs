//! A pooler in front of the database: a migration needs a session of its own.

use stagelink::{Database, Settings};
use stagelink_local_postgres::PgBouncerOptions;
use stagelink_pipeline::{ErrorKind, MigrationFolder, MigrationOptions, MigrationPlan};
use stagelink_tests::{Auth, Identity, OwnServer, pooled};

use super::{names, options};

#[tokio::test]
async fn pooler_is_refused_also_where_the_settings_deny_it() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Scram).await;
    let bouncer = server.bouncer(&[&database], server.identity()).await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("V1__a.sql"), "CREATE TABLE a ()").expect("a file");
    let files = MigrationFolder::read(folder.path()).expect("a folder");
    let settings = Settings::from_vars([
        ("STAGELINK_STAGE", "staging"),
        ("STAGELINK_PROVIDER", "url"),
        ("DATABASE_URL", &pooled(&bouncer, &database)),
        ("STAGELINK_SERVER_PIN", &server.identity().pin()),
    ]);
    let link = Database::new(settings.map(Settings::without_pooler));
    let error = MigrationPlan::make(&link, &files, &MigrationOptions::default()).await;
    let error = error.expect_err("a pooler");
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(error.to_string().contains("leads to a pooler"), "{error}");
}

#[tokio::test]
async fn pooler_that_gives_each_client_a_session_is_used() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Scram).await;
    let session = PgBouncerOptions::new().pool_mode("session");
    let bouncer = server
        .bouncer_with(session, &[&database], server.identity())
        .await;
    let folder = tempfile::tempdir().expect("a folder");
    for (name, sql) in [
        (
            "V1__a.sql",
            "CREATE TABLE a (b int); INSERT INTO a VALUES (1);",
        ),
        ("V2__b.sql", "CREATE INDEX CONCURRENTLY a_b ON a (b)"),
        (
            "V3__c.sql",
            "SET search_path = pg_catalog; SELECT pg_sleep(1);",
        ),
        ("V4__d.sql", "CREATE TABLE d ()"),
    ] {
        std::fs::write(folder.path().join(name), sql).expect("a file");
    }
    let files = MigrationFolder::read(folder.path()).expect("a folder");
    let settings = Settings::from_vars([
        ("STAGELINK_STAGE", "staging"),
        ("STAGELINK_PROVIDER", "url"),
        ("STAGELINK_POOLER", "never"),
        ("DATABASE_URL", &pooled(&bouncer, &database)),
        ("STAGELINK_SERVER_PIN", &server.identity().pin()),
    ]);
    let link = Database::new(settings.map(Settings::without_pooler));
    let plan = MigrationPlan::make(&link, &files, &options()).await;
    let report = plan
        .expect("a plan")
        .apply(&link, &options(), &|_| ())
        .await;
    let report = report.expect("it ends well");
    assert_eq!(names(&report), ["V1__a", "V2__b", "V3__c", "V4__d"]);
    // The next client of the same server connection begins without the lock, and has nothing to do.
    let plan = MigrationPlan::make(&link, &files, &options()).await;
    assert_eq!(plan.expect("a plan").pending().len(), 0);
}
