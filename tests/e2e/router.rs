//! A function that is an axum `Router`.

use serde_json::json;
use stagelink_tests::{Scene, sdk_example};

#[tokio::test]
async fn axum_router_serves_its_routes_with_the_link() {
    let scene = Scene::new().await;
    let function = scene.start("router", &sdk_example("router").await);
    let stage = scene.ask(&function, "GET", "/api/router/stage", None).await;
    assert_eq!(
        (stage.status.as_u16(), stage.text().as_str()),
        (200, "staging")
    );
    let double = scene
        .ask(&function, "GET", "/api/router/double/21", None)
        .await;
    assert_eq!(double.json(), json!({ "double": 42 }), "{}", scene.log());
    let missing = scene.ask(&function, "GET", "/api/router/none", None).await;
    assert_eq!(missing.status, 404);
    function.shutdown().await;
}
