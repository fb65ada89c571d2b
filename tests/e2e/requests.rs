//! The records of a local site's requests, and streamed responses on their way through the site.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use stagelink_local::faults::Fault;
use stagelink_local::lambda::{InstanceStart, Phase, Span};
use stagelink_local::{Cloud, RequestEvent, RequestRecord, Trigger};
use stagelink_tests::{CANARY, as_superuser, cloud_config, end_sessions, sdk_example, send, site};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use crate::warm::{ANY, AT_WORK, until_sessions};

/// Waits for the next record that is finished.
async fn finished(events: &mut Receiver<RequestEvent>) -> Arc<RequestRecord> {
    let next = async {
        loop {
            if let RequestEvent::Finished(record) = events.recv().await.expect("an event") {
                return record;
            }
        }
    };
    let next = timeout(Duration::from_secs(20), next).await;
    next.expect("the record is finished in time")
}

#[tokio::test]
async fn record_tells_cold_from_warm_and_the_time_with_the_database() {
    let (cloud, _) = site().await;
    let mut events = cloud.requests().subscribe();
    let staging = &cloud.stages()[0];
    let url = format!("{}/api/guestbook", staging.url());
    let answer = send("GET", &format!("{url}?key={CANARY}"), &[], "").await;
    let cold = finished(&mut events).await;
    assert_eq!(cold.id, answer.header("x-nf-request-id"));
    assert_eq!(
        (&*cold.stage, &*cold.method, &*cold.path, cold.status),
        ("staging", "GET", "/api/guestbook", Some(200))
    );
    assert_eq!(cold.function.as_deref(), Some("guestbook"));
    assert_eq!((cold.trigger, cold.instance), (Trigger::Request, Some(1)));
    let duration = cold.duration.expect("it has ended");
    assert!(matches!(cold.start, Some(InstanceStart::Cold { init }) if init < duration));
    let spans = cold.spans.as_ref().expect("the SDK reports them");
    for phase in [
        Phase::Credentials,
        Phase::Tcp,
        Phase::Tls,
        Phase::Login,
        Phase::Query,
    ] {
        assert!(spans.time_of(phase).is_some(), "{phase}: {spans:?}");
    }
    assert!(spans.database_time() < duration, "{spans:?}");
    assert!(spans.round_trips >= 1);
    // The event has the query, and what is printed has not.
    let event = String::from_utf8_lossy(cold.event.as_ref().expect("an event")).into_owned();
    assert!(event.contains(CANARY) && !cold.to_json().to_string().contains(CANARY));

    let json = [("content-type", "application/json")];
    let entry = r#"{"name": "Ada", "message": "m"}"#;
    assert_eq!(send("POST", &url, &json, entry).await.status, 201);
    let warm = finished(&mut events).await;
    assert_eq!(
        (warm.start, warm.status),
        (Some(InstanceStart::Warm), Some(201))
    );
    let spans = warm.spans.as_ref().expect("the SDK reports them");
    assert!(spans.round_trips >= 1 && spans.time_of(Phase::Tcp).is_none());

    // A request that needs no database says so, and a file has no function.
    assert_eq!(send("POST", &url, &json, "{").await.status, 400);
    let spans = finished(&mut events).await.spans.clone();
    assert_eq!(spans.expect("a report").round_trips, 0);
    send("GET", &format!("{}/", staging.url()), &[], "").await;
    let file = finished(&mut events).await;
    assert_eq!((&file.function, &file.start), (&None, &None));
    assert_eq!(cloud.requests().records().len(), 4);
    cloud.stop().await;
}

/// Returns the record of a cold request whose database stalls, and the times that it does not explain
/// and that it took.
async fn stalled_request() -> (Arc<RequestRecord>, Duration, Duration) {
    let (cloud, _) = site().await;
    let mut events = cloud.requests().subscribe();
    let faults = cloud.faults();
    let stalled = faults.inject("staging", Fault::Stall, None).await;
    stalled.expect("the database stalls");
    let url = format!("{}/api/guestbook", cloud.stages()[0].url());
    assert_eq!(send("GET", &url, &[], "").await.status, 503);
    let record = finished(&mut events).await;
    let report = record.spans.as_ref().expect("the SDK reports them");
    let waited = report.unfinished_time_of(Phase::Tls);
    assert!(report.time_of(Phase::Tcp).is_some(), "{report:?}");
    assert!(waited.is_some() && report.time_of(Phase::Tls).is_none());
    let known: Duration = report.spans.iter().map(Span::duration).sum();
    let Some(InstanceStart::Cold { init }) = record.start else {
        panic!("a cold start: {record:?}");
    };
    let duration = record.duration.expect("it has ended");
    cloud.stop().await;
    (
        Arc::clone(&record),
        duration.saturating_sub(known + init),
        duration,
    )
}

#[tokio::test]
async fn wait_in_a_stalled_handshake_is_that_phase_and_not_the_functions_time() {
    let (mut record, mut left, mut duration) = stalled_request().await;
    let mut shares = vec![(left, duration)];
    // What is left for the function is less than a tenth, unless the machine stands still.
    while left * 10 >= duration && shares.len() < 3 {
        (record, left, duration) = stalled_request().await;
        shares.push((left, duration));
    }
    assert!(left * 10 < duration, "{shares:?}: {:?}", record.spans);
    let json = record.to_json();
    let spans = json["database"]["spans"].as_array().expect("spans");
    let unfinished = spans.iter().filter(|span| span["is_unfinished"] == true);
    assert!(
        unfinished.clone().count() > 0 && unfinished.clone().all(|span| span["phase"] == "tls")
    );
}

/// Starts a site whose one function streams. Returns it with the role of its first stage.
async fn streaming_site() -> (Cloud, String) {
    let mut config = cloud_config().await;
    let role = config.stages[0].database.role().to_owned();
    config.functions = [("streaming".to_owned(), sdk_example("streaming").await)].into();
    let cloud = Cloud::start(config, |_, _| ()).await.expect("it starts");
    (cloud, role)
}

/// Asks for a number of lines of 1,000 bytes, and returns the response's body as it comes.
async fn begin(cloud: &Cloud, count: usize) -> UnsyncBoxBody<Bytes, String> {
    let url = cloud.stages()[0].url();
    let port = url.rsplit(':').next().expect("a port");
    let path = format!("/.netlify/functions/streaming?count={count}");
    let request = http::Request::get(format!("http://127.0.0.1:{port}{path}"))
        .header("host", "staging.localhost")
        .body(Full::<Bytes>::default())
        .expect("a request");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.expect("a response");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain");
    let body = response.into_body();
    body.map_err(|error| error.to_string()).boxed_unsync()
}

#[tokio::test]
async fn streamed_response_arrives_while_it_is_made_and_may_be_larger_than_a_whole_one() {
    let (cloud, role) = streaming_site().await;
    let mut events = cloud.requests().subscribe();
    let mut body = begin(&cloud, MANY).await;
    let first = body.frame().await.expect("a frame").expect("data");
    assert!(first.is_data());
    // The server waits for this client.
    until_sessions(&role, &AT_WORK, 1).await;
    let first = first.into_data().map_or(0, |data| data.len());
    let rest = body.collect().await.expect("the rest").to_bytes();
    assert_eq!(first + rest.len(), MANY * 1_000);
    let record = finished(&mut events).await;
    let (head, whole) = (record.first_byte, record.duration);
    assert!(head.is_some() && head < whole && record.error.is_none());
    until_sessions(&role, &ANY, 1).await;
    cloud.stop().await;
}

#[tokio::test]
async fn streamed_response_that_fails_breaks_off_and_its_record_says_so() {
    let (cloud, role) = streaming_site().await;
    let mut events = cloud.requests().subscribe();
    let mut body = begin(&cloud, MANY).await;
    body.frame().await.expect("a frame").expect("data");
    until_sessions(&role, &AT_WORK, 1).await;
    as_superuser(&end_sessions(&role)).await;
    let error = body.collect().await;
    assert!(error.is_err(), "the client takes it for whole");
    let record = finished(&mut events).await;
    assert_eq!(record.status, Some(200));
    assert_eq!(record.error.as_deref(), Some("Runtime.StreamError"));
    let line = record.lines.iter().find(|line| line.line.contains("ERROR"));
    assert!(line.is_some(), "{:?}", record.lines);
    cloud.stop().await;
}

#[tokio::test]
async fn client_that_leaves_a_stream_ends_its_record_and_the_function_goes_on() {
    let (cloud, role) = streaming_site().await;
    let mut events = cloud.requests().subscribe();
    let mut body = begin(&cloud, 4_000).await;
    body.frame().await.expect("a frame").expect("data");
    drop(body);
    let record = finished(&mut events).await;
    assert_eq!((record.status, &record.error), (Some(200), &None));
    until_sessions(&role, &AT_WORK, 0).await;
    let body = begin(&cloud, 3).await;
    assert_eq!(
        body.collect().await.expect("it is whole").to_bytes().len(),
        3_000
    );
    assert_eq!(finished(&mut events).await.instance, record.instance);
    cloud.stop().await;
}

/// Number of lines of 1,000 bytes: more than the buffers between server and client hold, and than a
/// buffered response may have.
const MANY: usize = 16_000;
