//! The choice of the instance for an event: a warm one, a new one, or the next free one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{Gate, TIMEOUT, echo, event, invoke, poll_once, set_variable, with_query};
use crate::lambda::{
    InstanceStart, InvocationObserver, InvokeOptions, LogLine, LogStream, SpanReport,
};

#[tokio::test]
async fn sequential_invocations_reuse_one_instance() {
    let (function, _logs) = echo(|_| {});
    let first = invoke(&function, event("/")).await;
    let second = invoke(&function, event("/")).await;
    assert_eq!(first["pid"], second["pid"]);
    assert_ne!(first["request_id"], second["request_id"]);
    assert_eq!(
        (function.instance_count(), function.started_count()),
        (1, 1)
    );
    function.shutdown().await;
}

#[tokio::test]
async fn concurrent_invocations_get_separate_instances_that_are_reused() {
    let (function, _logs) = echo(|_| {});
    let gate = Gate::new().await;
    let run = || invoke(&function, gate.event("/gate"));
    let open_both = async {
        // Both connect before either may go on, so they run at the same time.
        let (mut one, _) = gate.accept().await;
        let (mut two, _) = gate.accept().await;
        one.write_all(b".").await.unwrap();
        two.write_all(b".").await.unwrap();
    };
    let (one, two, ()) = tokio::join!(run(), run(), open_both);
    assert_ne!(one["pid"], two["pid"]);
    let third = invoke(&function, event("/")).await;
    assert!([&one["pid"], &two["pid"]].contains(&&third["pid"]));
    assert_eq!(function.started_count(), 2);
    function.shutdown().await;
}

#[tokio::test]
async fn invocations_beyond_the_limit_are_queued_in_order() {
    let (function, _logs) = echo(|config| config.max_instances = 1);
    let gate = Gate::new().await;
    let run = |label| invoke(&function, gate.labelled("/gate", label));
    let open_in_turn = async {
        for expected in ["a", "b", "c"] {
            let (mut running, label) = gate.accept().await;
            assert_eq!(label, expected);
            running.write_all(b".").await.unwrap();
        }
    };
    // They are polled, and so queued, in this order.
    let (a, b, c, ()) = tokio::join!(biased; run("a"), run("b"), run("c"), open_in_turn);
    assert!(a["pid"] == b["pid"] && b["pid"] == c["pid"]);
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn instance_with_concurrency_runs_that_many_events_at_once() {
    let (function, _logs) = echo(|config| {
        config.concurrency = 2;
        config.max_instances = 1;
        set_variable(config, "PROBE_RUNTIME", "concurrent");
    });
    let gate = Gate::new().await;
    let run = || invoke(&function, gate.event("/gate"));
    let open_all = async {
        // Two run at the same time, and the third starts when a slot is free.
        let (mut one, _) = gate.accept().await;
        let (mut two, _) = gate.accept().await;
        two.write_all(b".").await.unwrap();
        let (mut three, _) = gate.accept().await;
        one.write_all(b".").await.unwrap();
        three.write_all(b".").await.unwrap();
    };
    let (one, two, three, ()) = tokio::join!(run(), run(), run(), open_all);
    assert!(one["pid"] == two["pid"] && two["pid"] == three["pid"]);
    assert_eq!(one["env"]["AWS_LAMBDA_MAX_CONCURRENCY"], "2");
    assert_eq!(
        (function.instance_count(), function.started_count()),
        (1, 1)
    );
    function.shutdown().await;
}

#[tokio::test]
async fn events_for_two_aliases_reach_one_instance() {
    let (function, _logs) = echo(|config| config.qualifier = Some("live".to_owned()));
    let run = async |function: &crate::lambda::Function| invoke(function, event("/")).await;
    let live = run(&function).await;
    let staging = run(&function.with_alias("staging")).await;
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:echo";
    assert_eq!(live["arn"], format!("{arn}:live"));
    assert_eq!(staging["arn"], format!("{arn}:staging"));
    assert_eq!(live["pid"], staging["pid"]);
    function.shutdown().await;
}

#[tokio::test]
async fn snapshot_waits_for_the_first_event() {
    let (function, _logs) = echo(|config| config.snap_start = true);
    function.warm_up().await.unwrap();
    let warm = function.process_ids();
    let seen = invoke(&function, event("/")).await;
    assert_eq!(json!(warm), json!([seen["pid"]]));
    assert_eq!(seen["env"]["AWS_LAMBDA_INITIALIZATION_TYPE"], "snap-start");
    // The instance is restored only once.
    let again = invoke(&function, event("/")).await;
    assert_eq!(again["pid"], seen["pid"]);
    function.shutdown().await;
}

#[tokio::test]
async fn warm_up_starts_the_instance_of_the_next_event() {
    let (function, _logs) = echo(|_| {});
    function.warm_up().await.unwrap();
    function.warm_up().await.unwrap();
    let warm = function.process_ids();
    let seen = invoke(&function, event("/")).await;
    assert_eq!(json!(warm), json!([seen["pid"]]));
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn cancelled_call_leaves_the_instance_busy() {
    let (function, _logs) = echo(|config| config.max_instances = 1);
    let gate = Gate::new().await;
    let (mut running, _) = tokio::select! {
        _ = function.invoke(gate.event("/gate")) => panic!("the gate is closed"),
        running = gate.accept() => running,
    };
    // The call is cancelled, the event still runs, and the next event waits for it.
    let pids = function.process_ids();
    let mut next = pin!(invoke(&function, event("/")));
    assert!(poll_once(next.as_mut()).await.is_none());
    running.write_all(b".").await.unwrap();
    let seen = next.await;
    assert_eq!(json!(pids), json!([seen["pid"]]));
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn instance_that_exits_while_idle_is_replaced() {
    let (function, mut logs) = echo(|_| {});
    let gate = Gate::new().await;
    let (_, (process, _)) = tokio::join!(invoke(&function, gate.event("/exit/later")), gate.hold());
    drop(process);
    logs.wait_for_line(
        LogStream::Platform,
        "exited while it was idle: exit status: 0",
    )
    .await;
    invoke(&function, event("/")).await;
    assert_eq!(function.started_count(), 2);
    function.shutdown().await;
}

#[tokio::test]
async fn instance_without_an_event_ends_after_the_idle_timeout() {
    let (function, mut logs) =
        echo(|config| config.idle_timeout = Some(Duration::from_millis(300)));
    let gate = Gate::new().await;
    // An event that lasts longer than that is no idle time.
    let (first, ()) = tokio::join!(invoke(&function, gate.event("/gate")), async {
        let (mut running, _) = gate.accept().await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        running.write_all(b".").await.unwrap();
    });
    let ended = function.pool().registry().wait_until_empty();
    timeout(TIMEOUT, ended).await.unwrap();
    let second = invoke(&function, event("/")).await;
    assert_ne!(first["pid"], second["pid"]);
    assert_eq!(function.started_count(), 2);
    function.shutdown().await;
    assert!(!logs.take_line(LogStream::Platform, ""));
}

#[tokio::test]
async fn event_that_an_exited_instance_never_fetched_runs_on_another() {
    let gate = Gate::new().await;
    let (function, _logs) = echo(|config| {
        set_variable(config, "PROBE_RUNTIME", "by hand");
        set_variable(config, "PROBE_GATE", &gate.address);
    });
    let (first, (process, _)) = tokio::join!(invoke(&function, event("/")), gate.hold());
    // The process has responded and does not ask for another event, so the event that is assigned
    // to it stays undelivered.
    let mut second = pin!(invoke(&function, event("/")));
    assert!(poll_once(second.as_mut()).await.is_none());
    assert_eq!(function.started_count(), 1);
    drop(process);
    let second = second.await;
    assert_ne!(first["pid"], second["pid"]);
    assert_eq!(function.started_count(), 2);
    function.shutdown().await;
}

/// Knows an invocation by its number.
struct Numbered(String);

impl InvocationObserver for Numbered {
    fn id(&self) -> &str {
        &self.0
    }

    fn delivered(&self, _: usize, _: InstanceStart) {}

    fn logged(&self, _: &LogLine) {}

    fn reported(&self, _: SpanReport) {}
}

/// The threads that deliver the event and read the log are not those of each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lines_at_the_beginning_and_the_end_of_an_invocation_belong_to_it() {
    let (function, mut logs) = echo(|_| {});
    for number in 0..100 {
        let number = number.to_string();
        let options = InvokeOptions {
            observer: Some(Arc::new(Numbered(number.clone()))),
            ..InvokeOptions::default()
        };
        let event = with_query("/log", json!({ "label": number }));
        function.invoke_with(event, options).await.unwrap();
    }
    for number in 0..100 {
        for when in ["begins", "ends"] {
            let text = format!("{number} {when}");
            let line = logs.wait_for_line(LogStream::Stdout, &text).await;
            assert_eq!(line.request, Some(number.to_string()), "{text}");
        }
    }
    function.shutdown().await;
}
