//! Credentials that were resolved at deploy time.

use serde_json::Value;
use stagelink_local::heroku::{Failure, Fault};
use stagelink_tests::{CANARY, Scene, database};

/// A scene whose function starts from the sealed URL of its own database.
async fn sealed() -> Scene {
    let mut scene = Scene::new().await;
    let url = scene.database.url();
    scene.set("STAGELINK_SEALED", &format!("staging={url}"));
    scene
}

/// The same after a rotation: the sealed password is an old one.
async fn sealed_and_stale() -> Scene {
    let mut scene = sealed().await;
    let url = scene.database.url();
    let stale = url.replace(CANARY, &format!("{CANARY}-old"));
    scene.set("STAGELINK_SEALED", &format!("staging={stale}"));
    scene
}

#[tokio::test]
async fn sealed_function_asks_nobody_at_its_start() {
    let scene = sealed().await;
    let answer = scene.get("health").await;
    assert_eq!(answer.status, 200, "{}", scene.log());
    assert_eq!(answer.json()["phases"]["opened"]["resolve_ms"], Value::Null);
    assert!(scene.heroku.requests().is_empty());
}

#[tokio::test]
async fn sealed_function_needs_no_provider_while_its_credentials_work() {
    let mut scene = sealed().await;
    scene.heroku.inject(Fault::new(Failure::Hang));
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
    scene.variables.remove("STAGELINK_HEROKU_PIPELINE");
    scene.variables.remove("HEROKU_API_KEY");
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
}

#[tokio::test]
async fn stale_seal_costs_one_resolution_and_no_failed_request() {
    let scene = sealed_and_stale().await;
    let function = scene.function("health").await;
    for _ in 0..3 {
        let answer = scene.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", scene.log());
    }
    assert_eq!(scene.heroku.requests().len(), 3, "one resolution");
    function.shutdown().await;
}

#[tokio::test]
async fn stale_seal_without_a_provider_says_what_to_do() {
    let mut scene = sealed_and_stale().await;
    scene.variables.remove("STAGELINK_HEROKU_PIPELINE");
    assert_eq!(scene.get("health").await.status, 503, "{}", scene.log());
    assert!(scene.log().contains("refused role"), "{}", scene.log());
    assert!(
        scene.log().contains("nobody to ask for new credentials"),
        "{}",
        scene.log()
    );
}

#[tokio::test]
async fn seal_of_another_stage_is_refused() {
    let mut scene = sealed().await;
    let production = database().await;
    scene.set(
        "STAGELINK_SEALED",
        &format!("production={}", production.url()),
    );
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
    assert!(
        scene
            .log()
            .contains("holds the credentials of stage production"),
        "{}",
        scene.log()
    );
    assert!(scene.heroku.requests().is_empty());
}
