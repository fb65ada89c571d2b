//! A function that is an axum `Router`.

use serde_json::json;
use stagelink_tests::{HerokuFixture, sdk_example};

#[tokio::test]
async fn axum_router_serves_its_routes_with_the_link() {
    let fixture = HerokuFixture::new().await;
    let function = fixture.start("router", &sdk_example("router").await);
    let stage = fixture
        .ask(&function, "GET", "/api/router/stage", None)
        .await;
    assert_eq!(
        (stage.status.as_u16(), stage.text().as_str()),
        (200, "staging")
    );
    let double = fixture
        .ask(&function, "GET", "/api/router/double/21", None)
        .await;
    assert_eq!(double.json(), json!({ "double": 42 }), "{}", fixture.log());
    let missing = fixture
        .ask(&function, "GET", "/api/router/none", None)
        .await;
    assert_eq!(missing.status, 404);
    function.shutdown().await;
}
