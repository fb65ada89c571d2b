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
