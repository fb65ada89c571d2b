//! Streamed responses, and the row streams that they are made of.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::json;
use stagelink::{Database, ErrorKind, Phase, Rows, Settings};
use stagelink_local::lambda::{Function, InvokeError};
use stagelink_tests::{CANARY, HerokuFixture, as_superuser, end_sessions, sdk_example};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::warm::late_reset::{LateReset, expect_reset, unless_late};
use crate::warm::{ANY, AT_WORK, reaches_sessions, until_sessions, within};

/// Number of lines of 1,000 bytes: more than the buffers between server and client hold.
const MANY: usize = 16_000;

async fn streaming(fixture: &HerokuFixture) -> Function {
    fixture.start("streaming", &sdk_example("streaming").await)
}

/// Returns a request as a function URL sends it.
fn event(count: &str) -> Bytes {
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/",
        "rawQueryString": format!("count={count}"),
        "headers": {"host": "localhost"}, "isBase64Encoded": false,
        "requestContext": {"http": {"method": "GET", "path": "/"}, "stage": "$default"},
    });
    event.to_string().into()
}

/// Begins to ask for many lines. Returns the invocation, and the parts of its response.
fn begin(
    function: &Function,
) -> (
    JoinHandle<Result<Bytes, InvokeError>>,
    mpsc::Receiver<Bytes>,
) {
    let (sender, parts) = mpsc::channel(1);
    let function = function.clone();
    let event = event(&MANY.to_string());
    let invoked = tokio::spawn(async move { function.invoke_streaming(event, sender).await });
    (invoked, parts)
}

/// Returns the body behind the prelude.
fn body(whole: &[u8]) -> &[u8] {
    let end = whole.windows(8).position(|window| window == [0; 8]);
    &whole[end.expect("a prelude") + 8..]
}

#[tokio::test]
async fn large_result_is_streamed_on_one_connection_that_is_reused() {
    let fixture = HerokuFixture::new().await;
    let function = streaming(&fixture).await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let (invoked, mut parts) = begin(&function);
        let mut whole = parts.recv().await.expect("a part").to_vec();
        // The first part has arrived, and the server is not done: it waits for the reader.
        until_sessions(fixture.database.role(), &AT_WORK, 1).await;
        while let Some(part) = parts.recv().await {
            whole.extend_from_slice(&part);
        }
        invoked.await.expect("a task").expect("an answer");
        until_sessions(fixture.database.role(), &AT_WORK, 0).await;
        let text = String::from_utf8(body(&whole).to_vec()).expect("text");
        assert_eq!(text.lines().count(), MANY);
        let last = text.lines().last().unwrap_or_default();
        let mut words = last.split(' ');
        assert_eq!(words.next(), Some(MANY.to_string().as_str()));
        sessions.push(words.next().map(str::to_owned));
    }
    assert_eq!(sessions[0], sessions[1]);
    until_sessions(fixture.database.role(), &ANY, 1).await;
    function.shutdown().await;
}

#[tokio::test]
async fn body_that_fails_is_no_whole_response_and_gets_no_text_of_its_own() {
    let fixture = HerokuFixture::new().await;
    let function = streaming(&fixture).await;
    let (invoked, mut parts) = begin(&function);
    let mut whole = parts.recv().await.expect("a part").to_vec();
    as_superuser(&end_sessions(fixture.database.role())).await;
    while let Some(part) = parts.recv().await {
        whole.extend_from_slice(&part);
    }
    let error = invoked.await.expect("a task");
    let error = error.expect_err("the response is not whole");
    let error = format!("{error:?}");
    assert!(
        error.contains("Runtime.StreamError") && !error.contains(CANARY),
        "{error}"
    );
    let text = String::from_utf8_lossy(body(&whole));
    assert!(text.ends_with(".\n"), "{}", &text[text.len() - 200..]);
    let answer = function.invoke(event("1")).await.expect("an answer");
    assert!(answer.len() > 999, "the next request is answered");
    function.shutdown().await;
}

#[tokio::test]
async fn error_before_the_body_is_a_problem_with_its_status() {
    let fixture = HerokuFixture::new().await;
    let function = streaming(&fixture).await;
    let answer = function.invoke(event("many")).await.expect("an answer");
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(answer["statusCode"], 400);
    assert!(
        answer["body"]
            .as_str()
            .unwrap_or_default()
            .contains("whole number")
    );
    function.shutdown().await;
}

fn link(fixture: &HerokuFixture) -> Database {
    Database::new(Settings::from_vars(&fixture.variables))
}

/// Returns rows that stall after the second one. The server flushes all of them but the last bytes.
async fn slow_rows(link: &Database) -> Rows {
    let sql = "SELECT repeat('x', 20000), pg_sleep(CASE WHEN n > 2 THEN 600 ELSE 0 END) \
               FROM generate_series(1, 9) AS n";
    link.rows(sql, &[]).await.expect("rows")
}

/// Checks that rows which were given up at this time are stopped, and their connection is kept.
async fn expect_kept(
    fixture: &HerokuFixture,
    link: &Database,
    given_up: Instant,
) -> Result<(), LateReset> {
    link.finish_invocation().await;
    let took = given_up.elapsed();
    let role = fixture.database.role();
    expect_reset(reaches_sessions(role, &AT_WORK, 0).await, "at work", took)?;
    assert!(link.client().await.is_ok());
    expect_reset(reaches_sessions(role, &ANY, 1).await, "not kept", took)
}

#[tokio::test]
async fn late_rows_time_out_and_are_cancelled_on_the_server() {
    let fixture = HerokuFixture::new().await;
    let link = link(&fixture);
    unless_late(fixture.database.role(), async || {
        link.warm_up().await.expect("a connection");
        let mut rows = slow_rows(&within(&link, Duration::from_secs(10))).await;
        assert!(rows.next().await.expect("a row").is_ok());
        let error = rows.next().await.expect("an error").expect_err("no row");
        let given_up = Instant::now();
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Query), "{error}");
        assert!(!format!("{error:?}").contains(CANARY));
        assert!(rows.next().await.is_none());
        expect_kept(&fixture, &link, given_up).await
    })
    .await;
}

#[tokio::test]
async fn dropped_rows_are_cancelled_and_their_connection_is_reused() {
    let fixture = HerokuFixture::new().await;
    let link = link(&fixture);
    unless_late(fixture.database.role(), async || {
        let mut rows = slow_rows(&link).await;
        assert!(rows.next().await.expect("a row").is_ok());
        drop(rows);
        expect_kept(&fixture, &link, Instant::now()).await
    })
    .await;
}
