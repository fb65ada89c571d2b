//! The HTTP response for a function's JSON response.

use super::event::BODY_LIMIT_BYTES;
use crate::lambda::InvokeError;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

/// Converts the result of an invocation into an HTTP response.
///
/// As on Netlify, a function's error is a 502 with `errorType` and `errorMessage`. A time-out is a
/// 504: Netlify has used both 502 and 504 over the years, and 504 is more specific.
pub(super) fn from_invocation(result: Result<Bytes, InvokeError>) -> Response<Bytes> {
    let bad = StatusCode::BAD_GATEWAY;
    match result {
        Ok(response) => parse(&response)
            .unwrap_or_else(|reason| error_response(bad, "Function.InvalidResponse", &reason)),
        Err(InvokeError::Function {
            error_type,
            error_message,
        }) => error_response(bad, &error_type, &error_message),
        Err(InvokeError::Exited { detail }) => error_response(bad, "Runtime.ExitError", &detail),
        Err(InvokeError::TimedOut { limit } | InvokeError::InitTimedOut { limit }) => {
            error_response(
                StatusCode::GATEWAY_TIMEOUT,
                "Sandbox.Timedout",
                &format!("Task timed out after {:.2} seconds", limit.as_secs_f64()),
            )
        }
        Err(error @ InvokeError::NotStarted(_)) => {
            error_response(bad, "Runtime.NotStarted", &error.to_string())
        }
        Err(error @ InvokeError::EventTooLarge { .. }) => error_response(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLarge",
            &error.to_string(),
        ),
        Err(error @ InvokeError::ShutDown) => error_response(
            StatusCode::SERVICE_UNAVAILABLE,
            "ShutDown",
            &error.to_string(),
        ),
    }
}

/// Returns the response with the head of a streamed one, and true; or the error response in its
/// place, and false.
pub(super) fn from_head(head: Result<Bytes, InvokeError>) -> (Response<Bytes>, bool) {
    let parsed = head.as_ref().ok().and_then(|head| parse(head).ok());
    match parsed {
        Some(response) => (response, true),
        None => (from_invocation(head), false),
    }
}

/// Returns an error response of the platform.
pub(super) fn error_response(
    status: StatusCode,
    error_type: &str,
    message: &str,
) -> Response<Bytes> {
    let body = json!({"errorType": error_type, "errorMessage": message}).to_string();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn parse(response: &[u8]) -> Result<Response<Bytes>, String> {
    if response.len() > RESPONSE_LIMIT_BYTES {
        return Err(format!(
            "the function's response of {} bytes is over the limit of {RESPONSE_LIMIT_BYTES}",
            response.len()
        ));
    }
    // A map and not a struct: serde would accept an array for a struct, too.
    let mut json: Map<String, Value> = serde_json::from_slice(response)
        .map_err(|_| "the function's response is not a JSON object".to_owned())?;

    let status = match json.get("statusCode") {
        Some(Value::Number(number)) => number
            .as_u64()
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (200..600).contains(code))
            .and_then(|code| StatusCode::from_u16(code).ok())
            .ok_or_else(|| format!("the statusCode {number} is not an HTTP status"))?,
        // Netlify's own message, which people search for.
        other => {
            let given = other.map_or("undefined".to_owned(), Value::to_string);
            return Err(format!(
                "Your function response must have a numerical statusCode. You gave: {given}"
            ));
        }
    };
    let headers = parse_headers(&mut json)?;
    let body = match json.remove("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(body)) if json.get("isBase64Encoded") == Some(&Value::Bool(true)) => {
            let decoded = STANDARD.decode(body).map_err(|_| {
                "the response has isBase64Encoded, but its body is not base64".to_owned()
            })?;
            decoded.into()
        }
        Some(Value::String(body)) => body.into(),
        Some(_) => return Err("the response's body is not a string".to_owned()),
    };

    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Merges both header maps. As in API Gateway, the list takes precedence for a name in both.
fn parse_headers(json: &mut Map<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in take_object(json, "headers")? {
        headers.insert(header_name(&name)?, header_value(&name, &value)?);
    }
    for (name, values) in take_object(json, "multiValueHeaders")? {
        let Value::Array(values) = values else {
            return Err(format!(
                "the response's multiValueHeaders {name:?} is not a list"
            ));
        };
        let key = header_name(&name)?;
        headers.remove(&key);
        for value in values {
            headers.append(&key, header_value(&name, &value)?);
        }
    }
    for name in CONNECTION_HEADERS {
        headers.remove(name);
    }
    Ok(headers)
}

fn take_object(json: &mut Map<String, Value>, key: &str) -> Result<Map<String, Value>, String> {
    match json.remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(format!("the response's {key} is not an object")),
    }
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    name.parse()
        .map_err(|_| format!("the response has a header with the invalid name {name:?}"))
}

/// Converts a header value. The error contains the header's name and not its value, which may be a
/// secret.
fn header_value(name: &str, value: &Value) -> Result<HeaderValue, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(format!("the response's header {name:?} is not a string")),
    };
    text.parse()
        .map_err(|_| format!("the response's header {name:?} has an invalid value"))
}

/// AWS Lambda's limit for a response in bytes: 6 MB and 100 bytes around the body.
const RESPONSE_LIMIT_BYTES: usize = BODY_LIMIT_BYTES + 100;

/// The headers that the server sets for its own connection and body.
const CONNECTION_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn converted(json: Value) -> Response<Bytes> {
        from_invocation(Ok(json.to_string().into()))
    }

    fn message(response: &Response<Bytes>) -> String {
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        body["errorMessage"].as_str().unwrap().to_owned()
    }

    #[test]
    fn function_response_becomes_status_headers_and_body() {
        let response = converted(json!({
            "statusCode": 201,
            "headers": {"X-One": "1", "x-number": 7, "Set-Cookie": "lost=1", "Content-Length": "99"},
            "multiValueHeaders": {"set-cookie": ["a=1", "b=2"], "connection": ["close"]},
            "body": "made",
            "isBase64Encoded": false,
        }));
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()["x-one"], "1");
        assert_eq!(response.headers()["x-number"], "7");
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert_eq!(response.headers().len(), 4);
        assert_eq!(response.body(), "made");
    }

    #[test]
    fn function_response_without_headers_and_body_is_empty() {
        let response = converted(json!({"statusCode": 204, "headers": null, "body": null}));
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert!(response.body().is_empty() && response.headers().is_empty());
    }

    #[test]
    fn base64_body_is_decoded() {
        let json = json!({"statusCode": 200, "body": "iVBORwD//gE=", "isBase64Encoded": true});
        assert_eq!(converted(json).body().as_ref(), b"\x89PNG\x00\xff\xfe\x01");
    }

    #[test]
    fn invalid_function_response_is_a_502_with_the_reason() {
        for (json, reason) in [
            (json!("text"), "not a JSON object"),
            (json!([200, {}, {}, "x"]), "not a JSON object"),
            (json!({"body": "x"}), "You gave: undefined"),
            (json!({"statusCode": "200"}), "You gave: \"200\""),
            (json!({"statusCode": 101}), "not an HTTP status"),
            (json!({"statusCode": 200.5}), "not an HTTP status"),
            (
                json!({"statusCode": 200, "body": {"a": 1}}),
                "body is not a string",
            ),
            (
                json!({"statusCode": 200, "body": "%", "isBase64Encoded": true}),
                "not base64",
            ),
            (
                json!({"statusCode": 200, "headers": {"bad name": "x"}}),
                "invalid name",
            ),
            (
                json!({"statusCode": 200, "headers": {"x-a": "s3cret\r\nx-b: 1"}}),
                "invalid value",
            ),
            (
                json!({"statusCode": 200, "headers": {"x-a": null}}),
                "not a string",
            ),
            (
                json!({"statusCode": 200, "multiValueHeaders": {"x-a": "1"}}),
                "not a list",
            ),
        ] {
            let response = converted(json);
            assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
            assert_eq!(response.headers().len(), 1);
            let message = message(&response);
            assert!(message.contains(reason), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
        let large = json!({"statusCode": 200, "body": "x".repeat(RESPONSE_LIMIT_BYTES)});
        assert!(message(&converted(large)).contains("over the limit"));
    }

    #[test]
    fn failed_invocation_is_a_gateway_error() {
        let failed = from_invocation(Err(InvokeError::Function {
            error_type: "Boom".into(),
            error_message: "it broke".into(),
        }));
        assert_eq!(failed.status(), StatusCode::BAD_GATEWAY);
        let body: Value = serde_json::from_slice(failed.body()).unwrap();
        assert_eq!(
            body,
            json!({"errorType": "Boom", "errorMessage": "it broke"})
        );

        let detail = "exit status: 1".into();
        let exited = from_invocation(Err(InvokeError::Exited { detail }));
        assert_eq!(exited.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(message(&exited), "exit status: 1");

        let limit = Duration::from_millis(1500);
        let late = from_invocation(Err(InvokeError::TimedOut { limit }));
        assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(message(&late), "Task timed out after 1.50 seconds");
    }
}
