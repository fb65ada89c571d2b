//! The events and variables that a function gets, and the responses that Lambda accepts.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{echo, event, invoke, invoke_json, set_variable};
use crate::lambda::InvokeError;

#[tokio::test]
async fn event_has_the_metadata_of_lambda() {
    let (function, _logs) = echo(|config| {
        config.timeout = Duration::from_secs(30);
        config.qualifier = Some("staging".to_owned());
    });
    let now_ms = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(now.as_millis()).unwrap()
    };
    let before = now_ms();
    let seen = invoke(&function, event("/")).await;
    let deadline = seen["deadline_ms"].as_u64().unwrap();
    assert!((before + 30_000..=now_ms() + 30_000).contains(&deadline));
    assert_eq!(
        seen["arn"],
        "arn:aws:lambda:us-east-1:123456789012:function:echo:staging"
    );
    let trace_id = seen["trace_id"].as_str().unwrap();
    assert!(trace_id.starts_with("Root=1-") && trace_id.contains(";Parent="));
    assert!(uuid::Uuid::try_parse(seen["request_id"].as_str().unwrap()).is_ok());
    function.shutdown().await;
}

#[tokio::test]
async fn environment_has_only_variables_of_lambda_and_the_function() {
    assert!(std::env::vars().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
    let (function, _logs) = echo(|config| {
        config
            .environment
            .insert("APP_ENV".into(), "staging".into());
    });
    let seen = invoke(&function, event("/")).await;
    let names: BTreeSet<&str> = seen["env"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = BTreeSet::from([
        "APP_ENV",
        "AWS_DEFAULT_REGION",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "LANG",
        "PATH",
        "TZ",
        "_HANDLER",
    ]);
    // The runtime sets the first for the handler, and macOS the second for every process.
    let set_by_others = ["_X_AMZN_TRACE_ID", "__CF_USER_TEXT_ENCODING"];
    let names: BTreeSet<&str> = names
        .into_iter()
        .filter(|name| !set_by_others.contains(name))
        .collect();
    assert_eq!(names, expected);
    assert_eq!(seen["env"]["APP_ENV"], "staging");
    assert_eq!(seen["env"]["LAMBDA_TASK_ROOT"], seen["cwd"]);
    function.shutdown().await;
}

#[tokio::test]
async fn response_over_six_megabytes_is_refused_and_leaves_the_instance_warm() {
    let (function, _logs) = echo(|_| {});
    let error = function.invoke(event("/big")).await.unwrap_err();
    assert!(
        matches!(&error, InvokeError::Function { error_type, .. }
            if error_type == "Function.ResponseSizeTooLarge"),
        "{error:?}"
    );
    let too_large = Bytes::from(vec![b' '; 7 * 1024 * 1024]);
    let error = function.invoke(too_large).await.unwrap_err();
    assert!(matches!(error, InvokeError::EventTooLarge { .. }));
    invoke(&function, event("/")).await;
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn requests_that_break_the_protocol_are_refused() {
    let (function, _logs) = echo(|config| set_variable(config, "PROBE_RUNTIME", "by hand"));
    let responses = invoke(&function, event("/")).await;
    let assert_refused = |request: &str, status: u16, error_type: &str| {
        let response = &responses[request];
        assert_eq!(response["status"], status, "{response}");
        assert_eq!(response["body"]["errorType"], error_type);
        assert!(response["body"]["errorMessage"].is_string());
    };
    assert_refused("unknown", 400, "InvalidRequestID");
    assert_refused("early", 403, "InvalidStateTransition");
    assert_refused("stale", 410, "Runtime.InvokeTimeout");
    function.shutdown().await;
}

#[tokio::test]
async fn streamed_response_is_collected() {
    let (function, _logs) = echo(|config| set_variable(config, "PROBE_RUNTIME", "streamed"));
    let response = invoke_json(&function, event("/")).await;
    assert_eq!(response["statusCode"], 201);
    assert_eq!(response["multiValueHeaders"]["x-probe"], json!(["yes"]));
    assert_eq!(response["body"], "streamed");
    function.shutdown().await;
}

#[tokio::test]
async fn chunks_of_a_streamed_response_are_forwarded_with_the_prelude() {
    let (function, _logs) = echo(|config| set_variable(config, "PROBE_RUNTIME", "streamed"));
    let (sender, mut chunks) = tokio::sync::mpsc::channel::<Bytes>(1);
    let collect = async {
        let mut whole = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            whole.extend_from_slice(&chunk);
        }
        whole
    };
    let streaming = function.invoke_streaming(event("/"), sender);
    let (response, whole) = tokio::join!(streaming, collect);
    let response: Value = serde_json::from_slice(&response.unwrap()).unwrap();
    assert_eq!(response["body"], "streamed");
    let whole = String::from_utf8(whole).unwrap();
    let (prelude, body) = whole.split_once("\0\0\0\0\0\0\0\0").unwrap();
    assert!(prelude.contains("201"), "{prelude}");
    assert_eq!(body, "streamed");
    function.shutdown().await;
}
