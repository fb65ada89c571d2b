//! The stage mark of a database that a pooler knows by another name.

use serde_json::Value;
use stagelink_local_postgres::PgBouncerOptions;
use stagelink_tests::{Auth, Identity, OwnServer, stagelink_command};
use tokio::process::Command;

#[tokio::test]
async fn mark_is_that_of_the_database_behind_a_poolers_alias() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let database = server.database(Auth::Scram).await;
    // Another database of the role's is called like the alias.
    let (own, alias, role) = (database.name(), "production_db", database.role());
    server
        .run(&format!("CREATE DATABASE {alias} OWNER {role}"))
        .await;
    let options = PgBouncerOptions::new();
    let options = options.alias(alias, own).alias("no-database", own);
    let databases = [&database];
    let bouncer = server.bouncer_with(options, &databases, server.identity());
    let bouncer = bouncer.await;
    let url = bouncer.url(&database);
    let (start, _) = url.rsplit_once('/').expect("a database");
    let mark = async |url: &str, words: &[&str]| {
        let output = Command::new(stagelink_command().await)
            .arg("mark")
            .args(words)
            .args(["--stage", "staging", "--json"])
            .env_clear()
            .env("DATABASE_URL", url)
            .env("STAGELINK_SERVER_PIN", server.identity().pin())
            .output();
        let output = output.await.expect("the command runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {stderr}");
        let done = match words {
            ["set"] => "is now marked as stage staging's",
            ["remove"] => "has no stage mark now",
            _ => "",
        };
        assert!(stderr.contains(done), "{words:?}: {stderr}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        report["mark"].clone()
    };
    let own_url = database.url();
    let (own_start, _) = own_url.rsplit_once('/').expect("a database");
    let direct = |name: &str| format!("{own_start}/{name}");
    for name in [alias, "no-database"] {
        let url = format!("{start}/{name}");
        assert_eq!(mark(&url, &["set"]).await, "staging", "{name}");
        assert_eq!(mark(&direct(own), &["show"]).await, "staging", "{name}");
        assert_eq!(mark(&direct(alias), &["show"]).await, Value::Null, "{name}");
        assert_eq!(mark(&url, &["remove"]).await, Value::Null, "{name}");
    }
}
