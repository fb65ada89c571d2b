//! The invocation's deadline: no request outlasts it.

use std::time::Duration;

use stagelink_tests::{Answer, HerokuFixture, as_superuser, end_sessions, migrate, proxy, through};

/// Returns the response of a function that may take two seconds, to the request after `trouble`.
async fn answer_within_two_seconds(fixture: &HerokuFixture, trouble: impl AsyncFnOnce()) -> Answer {
    migrate(&fixture.variables).await;
    let limit = Duration::from_secs(2);
    let function = fixture.function_within(limit, "guestbook").await;
    let answer = fixture.ask(&function, "GET", "/api/guestbook", None).await;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    trouble().await;
    let answer = fixture.ask(&function, "GET", "/api/guestbook", None).await;
    assert_eq!(
        function.started_count(),
        1,
        "it was not killed\n{}",
        fixture.log()
    );
    function.shutdown().await;
    answer
}

#[tokio::test]
async fn silent_network_during_a_query_is_a_gateway_time_out() {
    let proxy = proxy().await;
    let fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let answer = answer_within_two_seconds(&fixture, async || proxy.stall()).await;
    assert_eq!(answer.status, 504, "{}", fixture.log());
    assert!(
        fixture.log().contains("a query to the database"),
        "{}",
        fixture.log()
    );
}

#[tokio::test]
async fn unresponsive_server_is_reported_in_time() {
    let proxy = proxy().await;
    let mut fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    fixture.set("STAGELINK_CONNECT_TIMEOUT_MS", "30000");
    let silent = async || {
        proxy.black_hole().expect("the proxy drops packets");
        proxy.cut();
    };
    let answer = answer_within_two_seconds(&fixture, silent).await;
    assert_eq!(answer.status, 504, "{}", fixture.log());
}

#[tokio::test]
async fn hanging_provider_does_not_hold_a_request_past_its_deadline() {
    use stagelink_local::heroku::{Failure, Fault};

    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_RESOLVE_TIMEOUT_MS", "30000");
    let role = fixture.database.role().to_owned();
    let heroku = &fixture.heroku;
    let refused = async || {
        heroku.inject(Fault::new(Failure::Hang));
        let sql = format!("ALTER ROLE {role} PASSWORD NULL; {}", end_sessions(&role));
        as_superuser(&sql).await;
    };
    let answer = answer_within_two_seconds(&fixture, refused).await;
    assert_eq!(answer.status, 504, "{}", fixture.log());
}

#[tokio::test]
async fn handler_with_an_endless_query_is_cancelled_in_time() {
    let proxy = proxy().await;
    let fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    // The health function's query has no time limit of its own.
    let function = fixture
        .function_within(Duration::from_secs(2), "health")
        .await;
    let ask = async || fixture.ask(&function, "GET", "/api/health", None).await;
    assert_eq!(ask().await.status, 200, "{}", fixture.log());
    proxy.stall();
    let answer = ask().await;
    assert_eq!(answer.status, 504, "{}", fixture.log());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    proxy.resume();
    assert_eq!(ask().await.status, 200, "{}", fixture.log());
    assert_eq!(
        function.started_count(),
        1,
        "it was not killed\n{}",
        fixture.log()
    );
    function.shutdown().await;
}
