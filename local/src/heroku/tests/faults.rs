//! Tests of faults over real connections.

use std::time::{Duration, Instant};

use super::super::{Failure, Fault};
use super::{CONFIG_VARS, SendError, TestResponse, client, get, guestbook, send};

/// Returns the response to a request for config vars with this failure.
async fn get_with_failure(failure: Failure) -> Result<TestResponse, SendError> {
    let heroku = guestbook().await;
    heroku.inject(Fault::new(failure).on("GET", CONFIG_VARS).times(1));
    let response = send(&heroku, "GET", CONFIG_VARS, &[], "").await;
    assert_eq!(get(&heroku, CONFIG_VARS).await.status, 200);
    response
}

#[tokio::test]
async fn status_fault_sends_the_error_body_of_heroku() {
    for (status, id, retry_after) in [
        (429, "rate_limit", Some(Duration::from_secs(7))),
        (500, "internal_server_error", None),
        (503, "maintenance", None),
    ] {
        let failure = Failure::Status {
            status,
            retry_after,
        };
        let response = get_with_failure(failure).await.expect("a response");
        assert_eq!(response.error(), (status, id.to_owned()));
        let wait = response.headers.get("retry-after").map(String::as_str);
        assert_eq!(wait, retry_after.map(|_| "7"));
    }
}

#[tokio::test]
async fn gateway_fault_sends_an_html_page() {
    let response = get_with_failure(Failure::BadGateway)
        .await
        .expect("a response");
    assert_eq!(response.status, 502);
    assert!(response.headers["content-type"].starts_with("text/html"));
    assert!(response.body.contains("<html>"));
}

#[tokio::test]
async fn each_failure_changes_one_thing_of_the_response() {
    let unchanged = get(&guestbook().await, CONFIG_VARS).await.body;

    let response = get_with_failure(Failure::WrongContentType)
        .await
        .expect("a response");
    assert_eq!(
        (response.status, response.body.as_str()),
        (200, unchanged.as_str())
    );
    assert_eq!(response.headers["content-type"], "text/plain");

    let response = get_with_failure(Failure::InvalidJson)
        .await
        .expect("a response");
    assert_eq!(response.body, unchanged[..unchanged.len() - 1]);
    assert_eq!(response.headers["content-type"], "application/json");

    let response = get_with_failure(Failure::EmptyBody)
        .await
        .expect("a response");
    assert_eq!((response.status, response.body.as_str()), (200, ""));

    let response = get_with_failure(Failure::EmptyObject)
        .await
        .expect("a response");
    assert_eq!((response.status, response.body.as_str()), (200, "{}"));
    assert_eq!(response.headers["content-type"], "application/json");

    let response = get_with_failure(Failure::HtmlPage)
        .await
        .expect("a response");
    assert_eq!(response.status, 200);
    assert!(response.headers["content-type"].starts_with("text/html"));

    let error = get_with_failure(Failure::HalfBody)
        .await
        .expect_err("an error");
    let SendError::IncompleteBody(received) = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        received.headers["content-length"],
        unchanged.len().to_string()
    );
    assert_eq!(received.body, unchanged[..unchanged.len() / 2]);
}

#[tokio::test]
async fn disconnect_fault_closes_the_connection_without_a_response() {
    let error = get_with_failure(Failure::Disconnect)
        .await
        .expect_err("an error");
    assert!(matches!(error, SendError::NoResponse(_)), "{error:?}");
}

#[tokio::test]
async fn delay_fault_sends_the_whole_response_late() {
    let time = Duration::from_millis(50);
    let start = Instant::now();
    let response = get_with_failure(Failure::Delay(time))
        .await
        .expect("a response");
    assert!(start.elapsed() >= time);
    assert_eq!(response.json()["GREETING"], "hello");
}

#[tokio::test]
async fn hanging_request_has_no_status_and_does_not_block_stop() {
    let heroku = guestbook().await;
    heroku.inject(Fault::new(Failure::Hang).on("GET", "/account"));
    let url = heroku.url().to_owned();
    let hanging = tokio::spawn(async move { client::send(&url, "GET", "/account", [], "").await });
    while heroku.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&heroku, "/apps").await.status, 200);
    let requests = heroku.requests();
    let statuses: Vec<_> = requests.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [None, Some(200)]);

    heroku.clear_faults();
    heroku.clear_requests();
    assert_eq!(get(&heroku, "/account").await.status, 200);
    assert_eq!(heroku.requests().len(), 1);

    heroku.stop().await;
    let error = hanging.await.expect("no panic").expect_err("an error");
    assert!(matches!(error, SendError::NoResponse(_)), "{error:?}");
}
