//! Tests of the records without functions.

use bytes::Bytes;
use http::StatusCode;

use super::*;
use crate::lambda::{InvocationObserver as _, LogLine, LogStream};

fn line(text: &str, id: &str) -> LogLine {
    LogLine {
        function: "f".to_owned(),
        instance: 1,
        stream: LogStream::Stdout,
        line: text.to_owned(),
        request: Some(id.to_owned()),
    }
}

#[test]
fn record_is_finished_when_the_last_owner_has_dropped_it() {
    let log = RequestLog::default();
    let mut events = log.subscribe();
    let active =
        Recorder::new(&log, "staging").begin("01ABCDEF", Trigger::Request, "GET", "/api/x");
    assert!(matches!(
        events.try_recv(),
        Ok(RequestEvent::Started(record)) if record.stage == "staging" && !record.is_finished
    ));
    active.set_function("x", &Bytes::from_static(b"{}"));
    let of_invocation = active.clone();
    active.responded(StatusCode::CREATED);
    drop(active);
    assert!(log.records().is_empty());
    of_invocation.logged(&line("hello", "01ABCDEF"));
    drop(of_invocation);
    let record = log.record("01ABCDEF").unwrap();
    assert!(record.is_finished && record.duration.is_some());
    assert_eq!((record.status, record.short_id()), (Some(201), "ABCDEF"));
    let json = record.to_json();
    assert_eq!(json["lines"][0]["line"], "hello");
    // Unknown is not zero.
    assert!(json["database"].is_null() && json["start"].is_null());
    assert!(matches!(events.try_recv(), Ok(RequestEvent::Finished(_))));
}

#[test]
fn ring_keeps_the_last_requests_and_bounds_their_memory() {
    let log = RequestLog::default();
    let recorder = Recorder::new(&log, "staging");
    for number in 0..2_100 {
        drop(recorder.begin(&number.to_string(), Trigger::Request, "GET", "/"));
    }
    let records = log.records();
    assert_eq!(records.len(), 2_000);
    assert_eq!(records[0].id, "100");
    assert!(log.record("99").is_none());

    let event = Bytes::from(vec![b' '; 64 * 1024]);
    for number in 0..2_000 {
        let active = recorder.begin(&number.to_string(), Trigger::Request, "GET", "/");
        active.set_function("f", &event);
    }
    let bytes: usize = log.records().iter().map(|record| record.event_bytes).sum();
    assert!(bytes <= 64 * 1024 * 1024, "{bytes}");

    let active = recorder.begin("big", Trigger::Request, "POST", "/");
    active.set_function("f", &Bytes::from(vec![b' '; 64 * 1024 + 1]));
    for _ in 0..1_000 {
        active.logged(&line("x", "big"));
    }
    drop(active);
    let record = log.record("big").unwrap();
    assert!(record.event.is_none() && record.event_bytes > 64 * 1024);
    assert_eq!((record.lines.len(), record.lines_left_out), (500, 500));
}
