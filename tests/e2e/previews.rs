//! Previews: each gets its own pull request's database or none, and never another stage's.

use serde_json::json;
use stagelink_local::heroku::{ReviewStatus, Stage};
use stagelink_local_postgres::Database;
use stagelink_tests::{Answer, HerokuFixture, database};
use uuid::Uuid;

/// Creates a pipeline whose staging and production have databases, and functions that serve the
/// preview of pull request 24, which has no review app. The token can read all apps, so apps are
/// left out by the SDK's choice alone.
async fn preview() -> HerokuFixture {
    let mut fixture = HerokuFixture::new().await;
    fixture.add_app("shop-production", Stage::Production);
    let url = fixture.database.url();
    fixture
        .heroku
        .set_config_var("shop-production", "DATABASE_URL", &url)
        .expect("a config var");
    fixture.set("STAGELINK_STAGE", "review");
    fixture.set("STAGELINK_HEROKU_PULL_REQUEST", "24");
    fixture
}

/// Adds a usable review app of the pull request, with its own database.
async fn review_app(fixture: &HerokuFixture, pull_request: u64) -> (Uuid, Database) {
    let database = database().await;
    let id = fixture.heroku.create_review_app("shop", pull_request);
    let id = id.expect("a review app");
    let name = format!("shop-pr-{pull_request}");
    fixture
        .heroku
        .create_app_for_review_app(id, &name)
        .expect("an app");
    fixture
        .heroku
        .set_config_var(&name, "DATABASE_URL", &database.url())
        .expect("a config var");
    fixture
        .heroku
        .set_review_status(id, ReviewStatus::Created)
        .expect("a review app");
    (id, database)
}

/// Calls the health check and expects that the preview has no database: the log has these words of
/// the reason, the response does not, and no app's config vars were read.
async fn assert_no_database(fixture: &HerokuFixture, reason: &str) -> Answer {
    fixture.heroku.clear_requests();
    let answer = fixture.get("health").await;
    let log = fixture.log();
    assert_eq!(answer.status, 503, "{}\n{log}", answer.text());
    assert!(log.contains(reason), "{reason:?} is not in the log:\n{log}");
    assert!(!answer.text().contains(reason));
    assert_eq!(answer.json()["stage"], "review");
    let requests = fixture.heroku.requests();
    let read = requests.iter().find(|r| r.path.ends_with("/config-vars"));
    assert_eq!(read, None);
    answer
}

fn assert_says_no_database(answer: &Answer) {
    assert_eq!(answer.json()["detail"], "This preview has no database.");
    assert_eq!(answer.header("retry-after"), "");
}

#[tokio::test]
async fn preview_gets_the_database_of_its_pull_request() {
    let fixture = preview().await;
    review_app(&fixture, 23).await;
    let (_, own) = review_app(&fixture, 24).await;
    fixture.heroku.set_page_size(1);
    let function = fixture.function("guestbook").await;
    stagelink_tests::migrate(&fixture.variables).await;
    let entry = json!({"name": "Ada", "message": "from pull request 24"});
    let answer = fixture
        .ask(&function, "POST", "/api/guestbook", Some(&entry))
        .await;
    assert_eq!(answer.status, 201, "{}\n{}", answer.text(), fixture.log());
    function.shutdown().await;
    let admin = stagelink_tests::server()
        .await
        .connect_as_superuser_to(&own)
        .await
        .expect("a superuser");
    let rows = admin
        .query("SELECT message FROM guestbook", &[])
        .await
        .expect("the entries");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, String>(0), "from pull request 24");
}

#[tokio::test]
async fn preview_costs_three_calls() {
    let fixture = preview().await;
    review_app(&fixture, 24).await;
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    assert_eq!(fixture.heroku.requests().len(), 3);
}

#[tokio::test]
async fn preview_without_a_review_app_has_no_database() {
    let fixture = preview().await;
    assert_says_no_database(
        &assert_no_database(&fixture, "no review app of pull request 24").await,
    );
    review_app(&fixture, 23).await;
    assert_says_no_database(
        &assert_no_database(&fixture, "no review app of pull request 24").await,
    );
}

#[tokio::test]
async fn preview_of_an_unknown_pull_request_takes_no_review_app() {
    let mut fixture = preview().await;
    fixture.variables.remove("STAGELINK_HEROKU_PULL_REQUEST");
    review_app(&fixture, 23).await;
    let answer = assert_no_database(&fixture, "its pull request is unknown").await;
    assert_says_no_database(&answer);
}

#[tokio::test]
async fn preview_without_any_source_has_no_database() {
    let mut fixture = preview().await;
    for name in ["STAGELINK_HEROKU_PIPELINE", "HEROKU_API_KEY"] {
        fixture.variables.remove(name);
    }
    assert_says_no_database(&assert_no_database(&fixture, "no source of one is set").await);
    assert!(fixture.heroku.requests().is_empty());
}

#[tokio::test]
async fn preview_whose_review_app_is_being_created_gets_retry_after() {
    let fixture = preview().await;
    let id = fixture.heroku.create_review_app("shop", 24).expect("one");
    for made in [false, true] {
        if made {
            fixture
                .heroku
                .create_app_for_review_app(id, "shop-pr-24")
                .expect("an app");
        }
        let answer = assert_no_database(&fixture, "still being created").await;
        assert_eq!(answer.header("retry-after"), "10");
        let detail = answer.json()["detail"].as_str().map(str::to_owned);
        assert!(detail.is_some_and(|detail| detail.contains("being made")));
    }
}

#[tokio::test]
async fn preview_whose_review_app_is_gone_or_failed_has_no_database() {
    let fixture = preview().await;
    let (id, _) = review_app(&fixture, 24).await;
    for (status, reason) in [
        (ReviewStatus::Errored, "failed"),
        (ReviewStatus::Deleting, "no review app of pull request 24"),
        (ReviewStatus::Deleted, "no review app of pull request 24"),
    ] {
        fixture
            .heroku
            .set_review_status(id, status)
            .expect("a review app");
        assert_says_no_database(&assert_no_database(&fixture, reason).await);
    }
}

#[tokio::test]
async fn preview_without_a_review_app_gets_the_app_that_is_named_for_it() {
    for stage in [Stage::Review, Stage::Development] {
        let mut fixture = preview().await;
        let shared = database().await;
        fixture.add_app("shop-shared", stage);
        fixture
            .heroku
            .set_config_var("shop-shared", "DATABASE_URL", &shared.url())
            .expect("a config var");
        fixture.set("STAGELINK_HEROKU_APP", "shop-shared");
        let answer = fixture.get("health").await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
        assert_eq!(answer.json()["stage"], "review");
    }
}

#[tokio::test]
async fn preview_never_gets_an_app_of_staging_or_production() {
    for app in ["shop-staging", "shop-production"] {
        let mut fixture = preview().await;
        fixture.set("STAGELINK_HEROKU_APP", app);
        assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
        let reason = format!("app {app} is not in stage review or development");
        assert!(fixture.log().contains(&reason), "{}", fixture.log());
        let requests = fixture.heroku.requests();
        assert!(!requests.iter().any(|r| r.path.ends_with("/config-vars")));
    }
}

#[tokio::test]
async fn preview_refuses_a_database_that_is_marked_for_another_stage() {
    let fixture = preview().await;
    let (_, own) = review_app(&fixture, 24).await;
    stagelink_tests::as_superuser(&format!(
        "ALTER DATABASE \"{}\" SET application_name = 'stagelink:production'",
        own.name()
    ))
    .await;
    assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
    assert!(
        fixture.log().contains("marked as stage production"),
        "{}",
        fixture.log()
    );
}

#[tokio::test]
async fn review_app_without_a_database_is_a_preview_without_one() {
    let fixture = preview().await;
    review_app(&fixture, 24).await;
    fixture
        .heroku
        .unset_config_var("shop-pr-24", "DATABASE_URL")
        .expect("a config var");
    let answer = fixture.get("health").await;
    assert_eq!(answer.status, 503, "{}", fixture.log());
    assert_says_no_database(&answer);
    assert!(
        fixture
            .log()
            .contains("shop-pr-24 on Heroku has no config var"),
        "{}",
        fixture.log()
    );
}

#[tokio::test]
async fn preview_with_deploy_time_credentials_makes_no_provider_request() {
    let mut fixture = preview().await;
    let url = fixture.database.url();
    fixture.set("STAGELINK_CREDENTIALS", &format!("review={url}"));
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    assert!(fixture.heroku.requests().is_empty());
}

#[tokio::test]
async fn pull_request_of_another_stage_is_refused() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_HEROKU_PULL_REQUEST", "24");
    assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
    assert!(
        fixture
            .log()
            .contains("only stage review has pull requests"),
        "{}",
        fixture.log()
    );
}
