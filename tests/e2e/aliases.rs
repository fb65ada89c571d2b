//! One version of a function behind the aliases of two stages.

use serde_json::json;
use stagelink_local::heroku::Stage;
use stagelink_local::lambda::Function;
use stagelink_local_postgres::Database;
use stagelink_tests::{Answer, HerokuFixture, as_superuser, database, migrate};

/// Fixture whose function has no stage variable, with a production stage beside its staging.
struct Aliases {
    fixture: HerokuFixture,
    production: Database,
}

impl Aliases {
    async fn new() -> Self {
        let mut fixture = HerokuFixture::new().await;
        migrate(&fixture.variables).await;
        fixture.add_app("shop-production", Stage::Production);
        let production = database().await;
        fixture
            .heroku
            .set_config_var("shop-production", "DATABASE_URL", &production.url())
            .expect("a config var");
        fixture.set("STAGELINK_STAGE", "production");
        migrate(&fixture.variables).await;
        fixture.variables.remove("STAGELINK_STAGE");
        Self {
            fixture,
            production,
        }
    }

    async fn entries(&self, function: &Function) -> Answer {
        self.fixture
            .ask(function, "GET", "/api/guestbook", None)
            .await
    }

    /// Signs the guestbook with the alias's own name, and returns all signatures.
    async fn sign_and_read(&self, function: &Function, alias: &str) -> Vec<String> {
        let function = function.with_alias(alias);
        let entry = json!({ "name": alias, "message": "here" });
        let signed = self
            .fixture
            .ask(&function, "POST", "/api/guestbook", Some(&entry))
            .await;
        assert_eq!(signed.status, 201, "{}", self.fixture.log());
        let read = self.entries(&function).await;
        assert_eq!(read.status, 200, "{}", self.fixture.log());
        assert_eq!(read.json()["stage"], alias);
        let entries = read.json()["entries"].as_array().cloned();
        let names = entries.unwrap_or_default().into_iter();
        names
            .map(|entry| entry["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn process_behind_two_aliases_keeps_their_databases_apart() {
    let aliases = Aliases::new().await;
    let function = aliases.fixture.function("guestbook").await;
    for signed in 1..=2 {
        for alias in ["staging", "production"] {
            let names = aliases.sign_and_read(&function, alias).await;
            assert_eq!(names, vec![alias; signed], "{}", aliases.fixture.log());
        }
    }
    assert_eq!(function.started_count(), 1, "it is one process");
    function.shutdown().await;
}

#[tokio::test]
async fn deploy_time_entry_of_each_stage_serves_its_alias_without_a_provider() {
    let mut aliases = Aliases::new().await;
    let (staging, production) = (aliases.fixture.database.url(), aliases.production.url());
    let credentials = format!("staging={staging} production={production}");
    aliases.fixture.set("STAGELINK_CREDENTIALS", &credentials);
    for name in ["STAGELINK_HEROKU_PIPELINE", "HEROKU_API_KEY"] {
        aliases.fixture.variables.remove(name);
    }
    let asked_before = aliases.fixture.heroku.requests().len();
    let function = aliases.fixture.function("guestbook").await;
    for alias in ["production", "staging"] {
        let names = aliases.sign_and_read(&function, alias).await;
        assert_eq!(names, [alias]);
    }
    assert_eq!(aliases.fixture.heroku.requests().len(), asked_before);
    function.shutdown().await;
}

#[tokio::test]
async fn alias_with_the_database_of_another_stage_is_refused_by_the_mark() {
    let aliases = Aliases::new().await;
    as_superuser(&format!(
        "ALTER DATABASE {} SET application_name = 'stagelink:staging'",
        aliases.production.name()
    ))
    .await;
    let function = aliases.fixture.function("guestbook").await;
    let answer = aliases.entries(&function.with_alias("production")).await;
    assert_eq!(answer.status, 500, "{}", aliases.fixture.log());
    let log = aliases.fixture.log();
    assert!(
        log.contains("is marked as stage staging's, and this function serves stage production"),
        "{log}"
    );
    let answer = aliases.entries(&function.with_alias("staging")).await;
    assert_eq!(answer.status, 200, "{}", aliases.fixture.log());
    function.shutdown().await;
}

#[tokio::test]
async fn invocation_without_a_stages_alias_is_refused_and_the_next_one_is_served() {
    let aliases = Aliases::new().await;
    let function = aliases.fixture.function("guestbook").await;
    for (invoked, reason) in [
        (function.clone(), "without an alias"),
        (function.with_alias("$LATEST"), "by $LATEST"),
        (function.with_alias("7"), "by version 7"),
        (function.with_alias("live"), "which is no kind of stage"),
    ] {
        let answer = aliases.entries(&invoked).await;
        assert_eq!(answer.status, 500, "{}", aliases.fixture.log());
        assert!(
            answer.text().contains("not set up for a stage"),
            "{}",
            answer.text()
        );
        assert!(
            aliases.fixture.log().contains(reason),
            "{}",
            aliases.fixture.log()
        );
    }
    let answer = aliases.entries(&function.with_alias("staging")).await;
    assert_eq!(answer.status, 200, "{}", aliases.fixture.log());
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn alias_and_variable_that_name_different_stages_are_refused() {
    let mut aliases = Aliases::new().await;
    aliases.fixture.set("STAGELINK_STAGE", "staging");
    let function = aliases.fixture.function("guestbook").await;
    let answer = aliases.entries(&function.with_alias("production")).await;
    assert_eq!(answer.status, 500, "{}", aliases.fixture.log());
    let log = aliases.fixture.log();
    assert!(log.contains("two stages are named"), "{log}");
    for alias in ["staging", "live"] {
        let answer = aliases.entries(&function.with_alias(alias)).await;
        assert_eq!(
            answer.json()["stage"],
            "staging",
            "{}",
            aliases.fixture.log()
        );
    }
    function.shutdown().await;
}
