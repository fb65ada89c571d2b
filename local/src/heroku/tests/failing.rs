//! Faults over real connections.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::{Failure, Fault};
use super::{Answer, CONFIG_VARS, get, guestbook, send};

/// What a request for config vars gets when it fails in a way.
async fn failed(failure: Failure) -> std::io::Result<Answer> {
    let heroku = guestbook().await;
    heroku.inject(Fault::new(failure).on("GET", CONFIG_VARS).times(1));
    let answer = send(&heroku, "GET", CONFIG_VARS, &[], "").await;
    assert_eq!(get(&heroku, CONFIG_VARS).await.status, 200);
    answer
}

#[tokio::test]
async fn status_fault_answers_with_the_error_body_of_heroku() {
    for (status, id, retry_after) in [
        (429, "rate_limit", Some(Duration::from_secs(7))),
        (500, "internal_server_error", None),
        (503, "maintenance", None),
    ] {
        let failure = Failure::Status {
            status,
            retry_after,
        };
        let answer = failed(failure).await.expect("an answer");
        assert_eq!(answer.error(), (status, id.to_owned()));
        let wait = answer.headers.get("retry-after").map(String::as_str);
        assert_eq!(wait, retry_after.map(|_| "7"));
    }
}

#[tokio::test]
async fn gateway_fault_answers_with_an_html_page() {
    let answer = failed(Failure::BadGateway).await.expect("an answer");
    assert_eq!(answer.status, 502);
    assert!(answer.headers["content-type"].starts_with("text/html"));
    assert!(answer.body.contains("<html>"));
}

#[tokio::test]
async fn spoiled_answers_are_spoiled_in_one_way_only() {
    let genuine = get(&guestbook().await, CONFIG_VARS).await.body;

    let answer = failed(Failure::WrongContentType).await.expect("an answer");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, genuine.as_str())
    );
    assert_eq!(answer.headers["content-type"], "text/plain");

    let answer = failed(Failure::InvalidJson).await.expect("an answer");
    assert_eq!(answer.body, genuine[..genuine.len() - 1]);
    assert_eq!(answer.headers["content-type"], "application/json");

    let answer = failed(Failure::EmptyBody).await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));

    let answer = failed(Failure::EmptyObject).await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    assert_eq!(answer.headers["content-type"], "application/json");

    let answer = failed(Failure::Page).await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(answer.headers["content-type"].starts_with("text/html"));

    let broken = failed(Failure::HalfBody).await.expect_err("a break");
    let received = broken.to_string();
    assert!(received.contains(&format!("content-length: {}", genuine.len())));
    assert!(received.ends_with(&genuine[..genuine.len() / 2]));
}

#[tokio::test]
async fn disconnect_fault_closes_the_connection_without_an_answer() {
    let broken = failed(Failure::Disconnect).await.expect_err("a break");
    assert!(!broken.to_string().contains("HTTP/1.1"));
}

#[tokio::test]
async fn delay_fault_answers_late_and_in_full() {
    let time = Duration::from_millis(50);
    let start = Instant::now();
    let answer = failed(Failure::Delay(time)).await.expect("an answer");
    assert!(start.elapsed() >= time);
    assert_eq!(answer.json()["GREETING"], "hello");
}

#[tokio::test]
async fn request_that_hangs_has_no_status_and_does_not_keep_the_server_from_stopping() {
    let heroku = guestbook().await;
    heroku.inject(Fault::new(Failure::Hang).on("GET", "/account"));
    let address = heroku.url().trim_start_matches("http://");
    let mut hanging = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET /account HTTP/1.1\r\nhost: {address}\r\n\r\n");
    hanging
        .write_all(request.as_bytes())
        .await
        .expect("a request");
    while heroku.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&heroku, "/apps").await.status, 200);
    let requests = heroku.requests();
    let statuses: Vec<_> = requests.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [None, Some(200)]);

    heroku.clear_faults();
    heroku.forget_requests();
    assert_eq!(get(&heroku, "/account").await.status, 200);
    assert_eq!(heroku.requests().len(), 1);

    heroku.stop().await;
    let mut answer = Vec::new();
    // Closed or reset: either way nothing was answered.
    let _ = hanging.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
}
