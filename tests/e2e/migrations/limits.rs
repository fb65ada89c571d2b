//! The limits of a role or a server that a run has to bear, such as `transaction_timeout` of Postgres 17 and 18,
//! and those by which its session ends.

use std::time::Duration;

use stagelink::{Database, Settings};
use stagelink_pipeline::{MigrationFolder, MigrationPlan};
use stagelink_tests::{Auth, Identity, OwnServer};

use super::{Project, names, options};

#[tokio::test]
async fn transaction_time_out_of_the_role_does_not_end_a_file() {
    for source in ["npm:17", "npm:18"] {
        let source = source.parse().expect("a source");
        let server = OwnServer::from_source(source, &Identity::self_signed()).await;
        let database = server.database(Auth::Scram).await;
        let role = database.role();
        server
            .run(&format!(
                "ALTER ROLE {role} SET transaction_timeout = '2s'; \
                 ALTER ROLE {role} SET statement_timeout = '2800ms'; \
                 ALTER ROLE {role} SET idle_session_timeout = '2400ms'"
            ))
            .await;
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, sql: &str| {
            std::fs::write(folder.path().join(name), sql).expect("a file");
        };
        write("V1__a.sql", "CREATE TABLE a (b int); SELECT pg_sleep(4);");
        write("V2__b.sql", "CREATE INDEX CONCURRENTLY a_b ON a (b)");
        write(
            "V3__c.sql",
            "-- stagelink: no transaction\nSELECT pg_sleep(4);",
        );
        let settings = Settings::from_vars([
            ("STAGELINK_STAGE", "staging"),
            ("STAGELINK_PROVIDER", "url"),
            ("DATABASE_URL", &database.url()),
            ("STAGELINK_SERVER_PIN", &server.identity().pin()),
        ]);
        let link = Database::new(settings.map(Settings::without_pooler));
        let files = MigrationFolder::read(folder.path()).expect("a folder");
        let plan = MigrationPlan::make(&link, &files, &options()).await;
        let report = plan
            .expect("a plan")
            .apply(&link, &options(), &|_| ())
            .await;
        let report = report.expect("it ends well");
        assert_eq!(
            names(&report),
            ["V1__a", "V2__b", "V3__c"],
            "{}",
            server.major()
        );
        // The limit of the run itself holds, and keeps the session.
        write("V4__d.sql", "CREATE TABLE d ();\nSELECT pg_sleep(20);");
        let files = MigrationFolder::read(folder.path()).expect("a folder");
        let mut limited = options();
        limited.time_limit = Duration::from_secs(5);
        let plan = MigrationPlan::make(&link, &files, &limited).await;
        let error = plan.expect("a plan").apply(&link, &limited, &|_| ()).await;
        let text = error.expect_err("it is over").to_string();
        assert!(
            text.contains("line 2: the transaction took longer than 5 s"),
            "{text}"
        );
        assert!(
            text.contains("it was rolled back, and left nothing"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn session_of_a_run_notices_that_its_other_end_is_gone() {
    let project = Project::with(&[
        (
            "V1__a.sql",
            "CREATE TABLE seen AS SELECT name, setting FROM pg_settings",
        ),
        (
            "V2__b.sql",
            "-- stagelink: no transaction\nCREATE TABLE IF NOT EXISTS seen_alone AS \
             SELECT name, setting FROM pg_settings",
        ),
    ])
    .await;
    assert_eq!(project.applied().await, ["V1__a", "V2__b"]);
    let seen = "SELECT name || '=' || setting FROM (TABLE seen UNION ALL TABLE seen_alone) \
                seen WHERE name LIKE 'tcp%' OR name = 'client_connection_check_interval' \
                GROUP BY name, setting HAVING count(*) = 2 ORDER BY 1";
    assert_eq!(
        project.rows(seen).await,
        [
            "client_connection_check_interval=2000",
            "tcp_keepalives_count=3",
            "tcp_keepalives_idle=15",
            "tcp_keepalives_interval=5",
            "tcp_user_timeout=30000",
        ]
    );
}
