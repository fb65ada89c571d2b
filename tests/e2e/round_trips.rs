//! What a request costs, in round trips to the database.

use std::net::{Ipv4Addr, SocketAddr};

use stagelink_local::network::Proxy;
use stagelink_tests::{Scene, server};

#[tokio::test]
async fn warm_select_costs_one_round_trip() {
    let port = server().await.port();
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .expect("a proxy");
    let scene = Scene::new().await;
    let through = format!(":{}/", proxy.port());
    scene.set_url(&scene.database.url().replace(&format!(":{port}/"), &through));
    let function = scene.function("health").await;
    function.warm_up().await.expect("the function starts");
    let cold = proxy.round_trips() + 1;
    for request in 1..=3 {
        let answer = scene.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", scene.log());
        assert_eq!(proxy.round_trips() + 1, cold + request);
    }
    assert_eq!(proxy.connections(), 1);
    println!("round trips: {cold} to connect (TCP's own counted), 1 for a warm SELECT");
    function.shutdown().await;
}
