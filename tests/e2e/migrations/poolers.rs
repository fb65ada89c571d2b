//! A pooler in front of the database: a migration needs a session of its own.

use stagelink::{Database, Settings};
use stagelink_pipeline::{ErrorKind, MigrationFolder, MigrationOptions, MigrationPlan};
use stagelink_tests::{Auth, Identity, OwnServer, pooled};

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
