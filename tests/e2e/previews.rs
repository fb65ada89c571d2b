//! Previews: a pull request's own database, or none, and never another stage's.

use serde_json::json;
use stagelink_local::heroku::{ReviewStatus, Stage};
use stagelink_local_postgres::Database;
use stagelink_tests::{Answer, Scene, database};
use uuid::Uuid;

/// A pipeline whose staging and production have databases, and functions that serve the
/// preview of pull request 24, which has no review app. The token reads all apps, so that
/// what is not taken is not taken by choice.
async fn preview() -> Scene {
    let mut scene = Scene::new().await;
    scene.add_app("shop-production", Stage::Production);
    let url = scene.database.url();
    scene
        .heroku
        .set_config_var("shop-production", "DATABASE_URL", &url)
        .expect("a config var");
    scene.set("STAGELINK_STAGE", "review");
    scene.set("STAGELINK_HEROKU_PULL_REQUEST", "24");
    scene
}

/// A review app of the pull request that can be used, with a database of its own.
async fn review_app(scene: &Scene, pull_request: u64) -> (Uuid, Database) {
    let database = database().await;
    let id = scene.heroku.create_review_app("shop", pull_request);
    let id = id.expect("a review app");
    let name = format!("shop-pr-{pull_request}");
    scene
        .heroku
        .create_app_for_review_app(id, &name)
        .expect("an app");
    scene
        .heroku
        .set_config_var(&name, "DATABASE_URL", &database.url())
        .expect("a config var");
    scene
        .heroku
        .set_review_status(id, ReviewStatus::Created)
        .expect("a review app");
    (id, database)
}

/// Asks the health check and expects that the preview has no database: words of the reason
/// are in the log and do not reach the client. No app's config vars were read.
async fn has_none(scene: &Scene, reason: &str) -> Answer {
    scene.heroku.clear_requests();
    let answer = scene.get("health").await;
    let log = scene.log();
    assert_eq!(answer.status, 503, "{}\n{log}", answer.text());
    assert!(log.contains(reason), "{reason:?} is not in the log:\n{log}");
    assert!(!answer.text().contains(reason));
    assert_eq!(answer.json()["stage"], "review");
    let requests = scene.heroku.requests();
    let read = requests.iter().find(|r| r.path.ends_with("/config-vars"));
    assert_eq!(read, None);
    answer
}

fn says_that_it_has_none(answer: &Answer) {
    assert_eq!(answer.json()["detail"], "This preview has no database.");
    assert_eq!(answer.header("retry-after"), "");
}

#[tokio::test]
async fn preview_gets_the_database_of_its_pull_request() {
    let scene = preview().await;
    review_app(&scene, 23).await;
    let (_, own) = review_app(&scene, 24).await;
    scene.heroku.set_page_size(1);
    let function = scene.function("guestbook").await;
    stagelink_tests::migrate(&scene.variables).await;
    let entry = json!({"name": "Ada", "message": "from pull request 24"});
    let answer = scene
        .ask(&function, "POST", "/api/guestbook", Some(&entry))
        .await;
    assert_eq!(answer.status, 201, "{}\n{}", answer.text(), scene.log());
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
    let scene = preview().await;
    review_app(&scene, 24).await;
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
    assert_eq!(scene.heroku.requests().len(), 3);
}

#[tokio::test]
async fn preview_without_a_review_app_has_no_database() {
    let scene = preview().await;
    says_that_it_has_none(&has_none(&scene, "no review app of pull request 24").await);
    review_app(&scene, 23).await;
    says_that_it_has_none(&has_none(&scene, "no review app of pull request 24").await);
}

#[tokio::test]
async fn preview_of_an_unknown_pull_request_takes_nobodys_review_app() {
    let mut scene = preview().await;
    scene.variables.remove("STAGELINK_HEROKU_PULL_REQUEST");
    review_app(&scene, 23).await;
    let answer = has_none(&scene, "not known which pull request").await;
    says_that_it_has_none(&answer);
}

#[tokio::test]
async fn preview_without_any_source_has_no_database() {
    let mut scene = preview().await;
    for name in ["STAGELINK_HEROKU_PIPELINE", "HEROKU_API_KEY"] {
        scene.variables.remove(name);
    }
    says_that_it_has_none(&has_none(&scene, "no source of one is set").await);
    assert!(scene.heroku.requests().is_empty());
}

#[tokio::test]
async fn preview_whose_review_app_is_being_made_says_when_to_come_back() {
    let scene = preview().await;
    let id = scene.heroku.create_review_app("shop", 24).expect("one");
    for made in [false, true] {
        if made {
            scene
                .heroku
                .create_app_for_review_app(id, "shop-pr-24")
                .expect("an app");
        }
        let answer = has_none(&scene, "still being created").await;
        assert_eq!(answer.header("retry-after"), "10");
        let detail = answer.json()["detail"].as_str().map(str::to_owned);
        assert!(detail.is_some_and(|detail| detail.contains("being made")));
    }
}

#[tokio::test]
async fn preview_whose_review_app_is_gone_or_failed_has_no_database() {
    let scene = preview().await;
    let (id, _) = review_app(&scene, 24).await;
    for (status, reason) in [
        (ReviewStatus::Errored, "failed"),
        (ReviewStatus::Deleting, "no review app of pull request 24"),
        (ReviewStatus::Deleted, "no review app of pull request 24"),
    ] {
        scene
            .heroku
            .set_review_status(id, status)
            .expect("a review app");
        says_that_it_has_none(&has_none(&scene, reason).await);
    }
}

#[tokio::test]
async fn preview_without_a_review_app_gets_the_app_that_is_named_for_it() {
    for stage in [Stage::Review, Stage::Development] {
        let mut scene = preview().await;
        let shared = database().await;
        scene.add_app("shop-shared", stage);
        scene
            .heroku
            .set_config_var("shop-shared", "DATABASE_URL", &shared.url())
            .expect("a config var");
        scene.set("STAGELINK_HEROKU_APP", "shop-shared");
        let answer = scene.get("health").await;
        assert_eq!(answer.status, 200, "{}", scene.log());
        assert_eq!(answer.json()["stage"], "review");
    }
}

#[tokio::test]
async fn preview_never_gets_an_app_of_staging_or_production() {
    for app in ["shop-staging", "shop-production"] {
        let mut scene = preview().await;
        scene.set("STAGELINK_HEROKU_APP", app);
        assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
        let reason = format!("app {app} is not in stage review or development");
        assert!(scene.log().contains(&reason), "{}", scene.log());
        let requests = scene.heroku.requests();
        assert!(!requests.iter().any(|r| r.path.ends_with("/config-vars")));
    }
}

#[tokio::test]
async fn preview_refuses_a_database_that_is_marked_as_anothers() {
    let scene = preview().await;
    let (_, own) = review_app(&scene, 24).await;
    stagelink_tests::as_superuser(&format!(
        "ALTER DATABASE \"{}\" SET application_name = 'stagelink:production'",
        own.name()
    ))
    .await;
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
    assert!(
        scene.log().contains("marked as stage production"),
        "{}",
        scene.log()
    );
}

#[tokio::test]
async fn review_app_without_a_database_is_a_preview_without_one() {
    let scene = preview().await;
    review_app(&scene, 24).await;
    scene
        .heroku
        .unset_config_var("shop-pr-24", "DATABASE_URL")
        .expect("a config var");
    let answer = scene.get("health").await;
    assert_eq!(answer.status, 503, "{}", scene.log());
    says_that_it_has_none(&answer);
    assert!(
        scene
            .log()
            .contains("shop-pr-24 on Heroku has no config var"),
        "{}",
        scene.log()
    );
}

#[tokio::test]
async fn preview_with_deploy_time_credentials_makes_no_provider_request() {
    let mut scene = preview().await;
    let url = scene.database.url();
    scene.set("STAGELINK_CREDENTIALS", &format!("review={url}"));
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
    assert!(scene.heroku.requests().is_empty());
}

#[tokio::test]
async fn pull_request_of_another_stage_is_refused() {
    let mut scene = Scene::new().await;
    scene.set("STAGELINK_HEROKU_PULL_REQUEST", "24");
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
    assert!(
        scene.log().contains("only stage review has pull requests"),
        "{}",
        scene.log()
    );
}
