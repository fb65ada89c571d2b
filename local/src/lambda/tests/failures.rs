//! Functions that fail, exit or time out, during INIT and after it.

use std::time::Duration;

use super::{Gate, echo, event, invoke, set_variable, wait_for_exit};
use crate::lambda::{Function, FunctionConfig, InvokeError, LogStream};

#[tokio::test]
async fn invocation_over_its_limit_is_killed_with_its_child_processes() {
    let limit = Duration::from_secs(5);
    let (function, mut logs) = echo(|config| config.timeout = limit);
    let gate = Gate::new().await;
    let run = function.invoke(gate.event("/fork/sleep"));
    let (error, (grandchild, _)) = tokio::join!(run, gate.hold());
    assert!(matches!(error, Err(InvokeError::TimedOut { limit: it }) if it == limit));
    assert_eq!(function.instance_count(), 0);
    wait_for_exit(grandchild).await;
    logs.wait_for_line(LogStream::Platform, "Task timed out after 5.00 seconds")
        .await;
    invoke(&function, event("/")).await;
    assert_eq!(function.started_count(), 2);
    function.shutdown().await;
}

#[tokio::test]
async fn exited_process_is_reported_with_its_status_and_replaced() {
    let (function, mut logs) = echo(|_| {});
    let detail = |error| match error {
        Err(InvokeError::Exited { detail }) => detail,
        other => panic!("{other:?}"),
    };
    let exited = detail(function.invoke(event("/exit")).await);
    assert_eq!(exited, "exit status: 3, while it ran");
    let killed = detail(function.invoke(event("/abort")).await);
    assert!(killed.contains("SIGABRT"), "{killed}");
    logs.wait_for_line(
        LogStream::Platform,
        "Runtime exited while it ran: exit status: 3",
    )
    .await;
    invoke(&function, event("/")).await;
    assert_eq!(
        (function.instance_count(), function.started_count()),
        (1, 3)
    );
    function.shutdown().await;
}

#[tokio::test]
async fn error_and_panic_are_returned_and_leave_the_instance_warm() {
    let (function, mut logs) = echo(|_| {});
    for path in ["/error", "/panic"] {
        let error = function.invoke(event(path)).await.unwrap_err();
        let text = format!("{error} {error:?}");
        let InvokeError::Function { error_message, .. } = error else {
            panic!("{error:?}");
        };
        assert!(error_message.contains("canary") && !text.contains("canary"));
        logs.wait_for_line(LogStream::Platform, "canary").await;
    }
    invoke(&function, event("/")).await;
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn exit_during_init_fails_the_invocation_and_logs_the_reason() {
    let (function, mut logs) = echo(|config| set_variable(config, "PROBE_INIT", "exit"));
    let error = function.invoke(event("/")).await.unwrap_err();
    assert!(
        matches!(&error, InvokeError::Exited { detail }
            if detail == "exit status: 7, during its INIT"),
        "{error:?}"
    );
    // The line has no terminator, and it is still logged before the error is returned.
    assert!(logs.take_line(LogStream::Stderr, "no database"));
    assert_eq!(
        (function.instance_count(), function.started_count()),
        (0, 1)
    );
}

#[tokio::test]
async fn init_error_fails_the_warm_up() {
    let (function, _logs) = echo(|config| set_variable(config, "PROBE_INIT", "error"));
    let error = function.warm_up().await.unwrap_err();
    let InvokeError::Function {
        error_type,
        error_message,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(
        (error_type.as_str(), error_message.as_str()),
        ("Probe.NoDatabase", "canary")
    );
}

#[tokio::test]
async fn init_over_its_limit_is_killed() {
    let limit = Duration::from_millis(300);
    let (function, _logs) = echo(|config| {
        set_variable(config, "PROBE_INIT", "hang");
        config.init_timeout = limit;
    });
    let error = function.invoke(event("/")).await.unwrap_err();
    assert!(matches!(error, InvokeError::InitTimedOut { limit: it } if it == limit));
    assert_eq!(function.instance_count(), 0);
}

#[tokio::test]
async fn missing_executable_is_named() {
    let function = Function::new(FunctionConfig::new("echo", "/nowhere/echo"));
    let error = function.invoke(event("/")).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/echo"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(function.started_count(), 0);
}
