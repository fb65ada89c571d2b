//! Credentials that change while functions are warm.

use stagelink_local::heroku::{Failure, Fault};
use stagelink_local::lambda::Function;
use stagelink_tests::{CANARY, Scene, database, server};

/// Changes the password in the database and cuts its connections, as a rotation
/// of Heroku's default credential does. Returns the new URL.
async fn rotate(scene: &Scene) -> String {
    let role = scene.database.role();
    let changed = format!("{CANARY}x");
    let admin = server().await.admin().await.expect("a superuser");
    admin
        .batch_execute(&format!(
            "ALTER ROLE {role} PASSWORD '{changed}-{role}'; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        ))
        .await
        .expect("a rotation");
    scene.database.url().replace(CANARY, &changed)
}

/// Asks until an answer is good. The request that meets the cut connection may
/// fail, and no other.
async fn good_after_the_cut(scene: &Scene, function: &Function) {
    let first = scene.ask(function, "GET", "/api/health", None).await;
    if first.status != 200 {
        let second = scene.ask(function, "GET", "/api/health", None).await;
        assert_eq!(second.status, 200, "{}", scene.log());
    }
}

async fn warm(scene: &Scene) -> Function {
    let function = scene.function("health").await;
    let answer = scene.ask(&function, "GET", "/api/health", None).await;
    assert_eq!(answer.status, 200, "{}", scene.log());
    scene.heroku.forget_requests();
    function
}

#[tokio::test]
async fn warm_function_survives_a_rotation_with_one_resolution() {
    let scene = Scene::new().await;
    let function = warm(&scene).await;
    scene.set_url(&rotate(&scene).await);
    good_after_the_cut(&scene, &function).await;
    assert_eq!(scene.heroku.requests().len(), 3, "one resolution");
    assert_eq!(function.started(), 1, "the same process");
    assert!(scene.log().contains("have been renewed"));
    for _ in 0..3 {
        let answer = scene.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", scene.log());
    }
    assert_eq!(scene.heroku.requests().len(), 3);
    function.shutdown().await;
}

#[tokio::test]
async fn warm_function_follows_its_app_to_another_database() {
    let scene = Scene::new().await;
    let function = warm(&scene).await;
    let other = database().await;
    scene.set_url(&other.url());
    // The old database is gone, as after a re-created add-on.
    server()
        .await
        .drop_database(scene.database.name())
        .await
        .expect("it is dropped");
    good_after_the_cut(&scene, &function).await;
    function.shutdown().await;
}

#[tokio::test]
async fn provider_that_says_the_same_stale_url_is_not_stormed() {
    let scene = Scene::new().await;
    let function = warm(&scene).await;
    rotate(&scene).await;
    for _ in 0..20 {
        let answer = scene.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 503, "{}", scene.log());
    }
    assert!(
        scene.log().contains("still holds the same URL"),
        "{}",
        scene.log()
    );
    let asked = scene.heroku.requests().len();
    // Three calls each: two at once, one after a second, one after two more.
    assert!(asked <= 12, "{asked} calls");
    function.shutdown().await;
}

#[tokio::test]
async fn refused_password_is_told_where_the_provider_cannot_be_asked() {
    let scene = Scene::new().await;
    let function = warm(&scene).await;
    let url = rotate(&scene).await;
    scene.set_url(&url);
    scene
        .heroku
        .inject(Fault::new(Failure::BadGateway).times(1));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = scene.ask(&function, "GET", "/api/health", None).await;
        statuses.push(answer.status.as_u16());
    }
    assert!(
        scene.log().contains("could not ask for new credentials"),
        "{}",
        scene.log()
    );
    assert_eq!(statuses.last(), Some(&200), "{statuses:?} {}", scene.log());
    function.shutdown().await;
}
