//! Connections and SnapStart: none is in the snapshot, and one is there after the restore.

use stagelink_tests::{Scene, sdk_example};

use crate::warm::{ANY, limit, until_sessions};

async fn snapped(scene: &Scene) -> stagelink_local::lambda::Function {
    let program = sdk_example("snapstart").await;
    let function = scene.start_as("snapstart", &program, |config| config.snap_start = true);
    // It has its INIT behind it, and waits in its snapshot.
    function.warm_up().await.expect("an instance");
    function
}

#[tokio::test]
async fn snapshot_holds_no_connection_and_the_restored_process_makes_one() {
    let scene = Scene::new().await;
    let function = snapped(&scene).await;
    assert!(
        !scene.log().contains("could not connect"),
        "{}",
        scene.log()
    );
    until_sessions(scene.database.role(), &ANY, 0).await;
    assert!(!scene.heroku.requests().is_empty(), "it did connect before");
    let asked = scene.heroku.requests().len();
    let first = scene.ask(&function, "GET", "/", None).await;
    assert_eq!(first.status, 200, "{}", scene.log());
    let second = scene.ask(&function, "GET", "/", None).await;
    assert_eq!(first.text(), second.text(), "it is the same session");
    until_sessions(scene.database.role(), &ANY, 1).await;
    assert_eq!(scene.heroku.requests().len(), asked, "the credentials stay");
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn restore_that_cannot_connect_says_so_and_the_process_lives_on() {
    let mut scene = Scene::new().await;
    scene.set("STAGELINK_RETRY_TIMEOUT_MS", "1");
    let function = snapped(&scene).await;
    until_sessions(scene.database.role(), &ANY, 0).await;
    limit(scene.database.role(), 0).await;
    let answer = scene.ask(&function, "GET", "/", None).await;
    assert_eq!(answer.status, 503, "{}", scene.log());
    let log = scene.log();
    assert!(log.contains("could not connect after the restore"), "{log}");
    limit(scene.database.role(), -1).await;
    let answer = scene.ask(&function, "GET", "/", None).await;
    assert_eq!(answer.status, 200, "{}", scene.log());
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}
