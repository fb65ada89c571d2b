//! The invocation's deadline: no request outlasts it.

use std::time::Duration;

use serde_json::Value;
use stagelink_local::lambda::Function;
use stagelink_tests::{Answer, HerokuFixture, as_superuser, end_sessions, migrate, proxy, through};

/// The platform killed a function at the end of its time.
///
/// It does so on the dot, and the response is due a moment before: where the machine stands still in
/// between, this says nothing about the product.
#[derive(Debug)]
pub(crate) struct Killed(String);

/// Runs a test whose functions must not be killed, three times at most.
pub(crate) async fn unless_killed<T>(test: impl AsyncFn() -> Result<T, Killed>) -> T {
    let mut kills = Vec::new();
    while kills.len() < 3 {
        match test().await {
            Ok(result) => return result,
            Err(Killed(why)) => kills.push(why),
        }
    }
    panic!("it was killed each time\n{}", kills.join("\n"));
}

/// Starts a function that may take two seconds for a request, and has a connection already.
pub(crate) async fn function_of_two_seconds(fixture: &HerokuFixture, name: &str) -> Function {
    let function = fixture.function_within(Duration::from_secs(2), name).await;
    function.warm_up().await.expect("the function starts");
    function
}

/// Sends one request to a function, and returns the response unless that was killed.
pub(crate) async fn ask(
    fixture: &HerokuFixture,
    function: &Function,
    (method, path): (&str, &str),
    body: Option<&Value>,
) -> Result<Answer, Killed> {
    let answer = fixture.target(function).ask(method, path, &[], body).await;
    match answer {
        Ok(answer) if function.started_count() == 1 => Ok(answer),
        answer => Err(Killed(format!("{answer:?}\n{}", fixture.log()))),
    }
}

const GUESTBOOK: (&str, &str) = ("GET", "/api/guestbook");

/// Returns the response of a function that may take two seconds, to the request after `trouble`.
async fn answer_within_two_seconds(
    fixture: &HerokuFixture,
    trouble: impl AsyncFnOnce(),
) -> Result<Answer, Killed> {
    migrate(&fixture.variables).await;
    let function = function_of_two_seconds(fixture, "guestbook").await;
    let answer = ask(fixture, &function, GUESTBOOK, None).await?;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    trouble().await;
    let answer = ask(fixture, &function, GUESTBOOK, None).await?;
    function.shutdown().await;
    Ok(answer)
}

#[tokio::test]
async fn silent_network_during_a_query_is_a_gateway_time_out() {
    unless_killed(async || {
        let proxy = proxy().await;
        let fixture = HerokuFixture::new().await;
        fixture.set_url(&through(&proxy, &fixture.database.url()));
        let answer = answer_within_two_seconds(&fixture, async || proxy.stall()).await?;
        assert_eq!(answer.status, 504, "{}", fixture.log());
        assert!(
            fixture.log().contains("a query to the database"),
            "{}",
            fixture.log()
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn unresponsive_server_is_reported_in_time() {
    unless_killed(async || {
        let proxy = proxy().await;
        let fixture = HerokuFixture::new().await;
        fixture.set_url(&through(&proxy, &fixture.database.url()));
        let silent = async || {
            proxy.black_hole().expect("the proxy drops packets");
            proxy.cut();
        };
        let answer = answer_within_two_seconds(&fixture, silent).await?;
        assert_eq!(answer.status, 504, "{}", fixture.log());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn hanging_provider_does_not_hold_a_request_past_its_deadline() {
    use stagelink_local::heroku::{Failure, Fault};

    unless_killed(async || {
        let fixture = HerokuFixture::new().await;
        let role = fixture.database.role().to_owned();
        let heroku = &fixture.heroku;
        let refused = async || {
            heroku.inject(Fault::new(Failure::Hang));
            let sql = format!("ALTER ROLE {role} PASSWORD NULL; {}", end_sessions(&role));
            as_superuser(&sql).await;
        };
        let answer = answer_within_two_seconds(&fixture, refused).await?;
        assert_eq!(answer.status, 504, "{}", fixture.log());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn handler_with_an_endless_query_is_cancelled_in_time() {
    unless_killed(async || {
        let proxy = proxy().await;
        let fixture = HerokuFixture::new().await;
        fixture.set_url(&through(&proxy, &fixture.database.url()));
        // The health function's query has no time limit of its own.
        let function = function_of_two_seconds(&fixture, "health").await;
        let ask = async || ask(&fixture, &function, ("GET", "/api/health"), None).await;
        assert_eq!(ask().await?.status, 200, "{}", fixture.log());
        proxy.stall();
        let answer = ask().await?;
        assert_eq!(answer.status, 504, "{}", fixture.log());
        assert_eq!(answer.header("content-type"), "application/problem+json");
        proxy.resume();
        assert_eq!(ask().await?.status, 200, "{}", fixture.log());
        function.shutdown().await;
        Ok(())
    })
    .await;
}
