//! The context of an invocation, from the headers of the Lambda Runtime API.

use std::collections::HashMap;
use std::str;
use std::sync::Arc;

use http::HeaderMap;
use lambda_http::Context;
use lambda_http::lambda_runtime::Config;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Returns the context of an invocation, or `None` without the id by which it is answered.
///
/// `lambda_runtime`'s own conversion fails where a header is not what it expects, and that failure
/// ends the process. The caller of a function chooses its client context, so it is read as far as
/// it fits: values of `custom` and `environment` that are no texts become their JSON, and without
/// an object there is no client context.
pub(super) fn invocation_context(headers: &HeaderMap, config: &Arc<Config>) -> Option<Context> {
    let text = |name: &str| str::from_utf8(headers.get(name)?.as_bytes()).ok();
    let lossy = |name: &str| {
        let value = headers.get(name)?.as_bytes();
        Some(String::from_utf8_lossy(value).into_owned())
    };
    let mut context = Context::default();
    text("lambda-runtime-aws-request-id")?.clone_into(&mut context.request_id);
    let deadline = text("lambda-runtime-deadline-ms").and_then(|text| text.trim().parse().ok());
    context.deadline = deadline.unwrap_or(UNKNOWN_DEADLINE);
    text("lambda-runtime-invoked-function-arn")
        .unwrap_or_default()
        .clone_into(&mut context.invoked_function_arn);
    context.xray_trace_id = lossy("lambda-runtime-trace-id");
    context.tenant_id = lossy("lambda-runtime-aws-tenant-id");
    context.client_context = text("lambda-runtime-client-context").and_then(client_context);
    context.identity = text("lambda-runtime-cognito-identity").and_then(lenient);
    context.env_config = Arc::clone(config);
    Some(context)
}

fn client_context<T: DeserializeOwned>(text: &str) -> Option<T> {
    if let Some(context) = lenient(text) {
        return Some(context);
    }
    let Ok(Value::Object(mut members)) = serde_json::from_str(text) else {
        return None;
    };
    for name in ["custom", "environment"] {
        let Some(Value::Object(texts)) = members.remove(name) else {
            continue;
        };
        let texts: HashMap<String, String> = texts
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => (name, text),
                other => (name, other.to_string()),
            })
            .collect();
        members.insert(name.to_owned(), texts.into_iter().collect());
    }
    if let Ok(context) = serde_json::from_value(Value::Object(members.clone())) {
        return Some(context);
    }
    // The rest is the description of a mobile app, which has to be complete.
    members.remove("client");
    serde_json::from_value(Value::Object(members)).ok()
}

fn lenient<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// The deadline of an invocation whose header names none.
pub(super) const UNKNOWN_DEADLINE: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn context(name: &str, value: &[u8]) -> Context {
        let mut headers = HeaderMap::new();
        headers.insert(
            "lambda-runtime-aws-request-id",
            HeaderValue::from_static("1"),
        );
        let name: http::HeaderName = name.parse().unwrap();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        invocation_context(&headers, &Arc::default()).unwrap()
    }

    #[test]
    fn client_context_is_read_as_far_as_it_fits() {
        let client = |text: &[u8]| context("lambda-runtime-client-context", text).client_context;
        for none in [
            &b"null"[..],
            b"",
            b"no JSON",
            b"[1]",
            b"7",
            b"\"text\"",
            b"\xff{}",
            b"{",
        ] {
            assert_eq!(client(none), None);
        }
        let nested =
            client(br#"{"custom":{"a":{"b":1},"c":"d","e":null},"user":{"x":[1]}}"#).unwrap();
        assert_eq!(nested.custom["a"], r#"{"b":1}"#);
        assert_eq!((&*nested.custom["c"], &*nested.custom["e"]), ("d", "null"));
        let odd =
            client(br#"{"client":{"app_title":1},"custom":7,"environment":{"a":"b"}}"#).unwrap();
        assert!(odd.custom.is_empty() && odd.environment["a"] == "b");
        let whole = client("{\"client\":{\"installation_id\":\"1\",\"app_title\":\"é\",\"app_version_name\":\"\",\"app_version_code\":\"\",\"app_package_name\":\"\"}}".as_bytes());
        assert_eq!(whole.unwrap().client.app_title, "é");
    }

    #[test]
    fn other_header_that_cannot_be_read_is_none() {
        let identity = context("lambda-runtime-cognito-identity", b"{\"identityId\":1}");
        assert_eq!(identity.identity, None);
        for deadline in [&b"soon"[..], b"-1", b"99999999999999999999", b"\xff", b""] {
            let context = context("lambda-runtime-deadline-ms", deadline);
            assert_eq!(context.deadline, UNKNOWN_DEADLINE);
        }
        assert_eq!(context("lambda-runtime-deadline-ms", b"7").deadline, 7);
        let arn = context("lambda-runtime-invoked-function-arn", b"arn:\xff");
        assert_eq!(arn.invoked_function_arn, "");
        let traced = context("lambda-runtime-trace-id", b"\xff");
        assert_eq!(traced.xray_trace_id.as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn invocation_without_an_id_has_no_context() {
        assert!(invocation_context(&HeaderMap::new(), &Arc::default()).is_none());
    }
}
