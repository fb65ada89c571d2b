//! Refusals caused by the environment variables.

use stagelink_tests::HerokuFixture;

use super::refused;

#[tokio::test]
async fn missing_stage_is_refused() {
    let mut fixture = HerokuFixture::new().await;
    fixture.variables.remove("STAGELINK_STAGE");
    let answer = refused(&fixture, 500, &["STAGELINK_STAGE is not set"]).await;
    assert!(answer.json()["stage"].is_null());
    assert!(fixture.heroku.requests().is_empty());
}

#[tokio::test]
async fn unknown_stage_is_refused() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_STAGE", "prod");
    refused(&fixture, 500, &["unknown stage", "use review, development"]).await;
    assert!(fixture.heroku.requests().is_empty());
}

#[tokio::test]
async fn misspelled_variable_of_safety_is_refused() {
    for (name, meant) in [
        ("STAGELINK_REQUIRE_MARKS", "STAGELINK_REQUIRE_MARK"),
        ("stagelink_require_mark", "STAGELINK_REQUIRE_MARK"),
        ("STAGELINK_Provider", "STAGELINK_PROVIDER"),
    ] {
        let mut fixture = HerokuFixture::new().await;
        fixture.set(name, "true");
        let reason = format!("{name} is not {meant}");
        refused(&fixture, 500, &["misspelled variables", &reason]).await;
        assert!(fixture.heroku.requests().is_empty());
        fixture.set(name, "");
        assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    }
}

#[tokio::test]
async fn other_unknown_variables_are_one_warning() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_POOLSIZE", "c4n4ry");
    fixture.set("STAGELINK_TELEMETRY_ENDPOINT", "c4n4ry");
    let function = fixture.function("health").await;
    for _ in 0..2 {
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
    }
    function.shutdown().await;
    let log = fixture.log();
    let warning = "does not know are ignored: STAGELINK_POOLSIZE (the nearest known name is \
        STAGELINK_POOL_SIZE), STAGELINK_TELEMETRY_ENDPOINT";
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert!(!log.contains("c4n4ry"), "{log}");
}

#[tokio::test]
async fn missing_source_of_the_database_is_refused() {
    let mut fixture = HerokuFixture::new().await;
    fixture.variables.remove("STAGELINK_HEROKU_PIPELINE");
    refused(&fixture, 500, &["no source of the database is set"]).await;
}

#[tokio::test]
async fn missing_token_is_refused() {
    let mut fixture = HerokuFixture::new().await;
    fixture.variables.remove("HEROKU_API_KEY");
    refused(
        &fixture,
        500,
        &["HEROKU_API_KEY is not set", "authorizations:create"],
    )
    .await;
}

#[tokio::test]
async fn unencrypted_api_on_another_machine_is_refused() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_HEROKU_API_URL", "http://api.heroku.example");
    refused(
        &fixture,
        500,
        &["STAGELINK_HEROKU_API_URL is not an https URL"],
    )
    .await;
}
