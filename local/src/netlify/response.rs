//! A function's JSON answer as an HTTP response.

use super::event::BODY_LIMIT_BYTES;
use crate::lambda::InvokeError;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

/// Turns what a function answered, or why it did not, into a response.
///
/// As on Netlify, what a function got wrong is a 502 with `errorType` and `errorMessage`.
/// A time-out is a 504: Netlify has answered both 502 and 504 over the years, and 504 says
/// what happened.
pub(super) fn response(outcome: Result<Bytes, InvokeError>) -> Response<Bytes> {
    let bad = StatusCode::BAD_GATEWAY;
    match outcome {
        Ok(answer) => decode(&answer)
            .unwrap_or_else(|reason| failure(bad, "Function.InvalidResponse", &reason)),
        Err(InvokeError::Function {
            error_type,
            error_message,
        }) => failure(bad, &error_type, &error_message),
        Err(InvokeError::Exited { detail }) => failure(bad, "Runtime.ExitError", &detail),
        Err(InvokeError::TimedOut { limit } | InvokeError::InitTimedOut { limit }) => failure(
            StatusCode::GATEWAY_TIMEOUT,
            "Sandbox.Timedout",
            &format!("Task timed out after {:.2} seconds", limit.as_secs_f64()),
        ),
        Err(error @ InvokeError::NotStarted(_)) => {
            failure(bad, "Runtime.NotStarted", &error.to_string())
        }
        Err(error @ InvokeError::EventTooLarge { .. }) => failure(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLarge",
            &error.to_string(),
        ),
        Err(error @ InvokeError::ShutDown) => failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "ShutDown",
            &error.to_string(),
        ),
    }
}

/// An answer of the platform in a function's place.
pub(super) fn failure(status: StatusCode, error_type: &str, message: &str) -> Response<Bytes> {
    let body = json!({"errorType": error_type, "errorMessage": message}).to_string();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn decode(answer: &[u8]) -> Result<Response<Bytes>, String> {
    if answer.len() > ANSWER_LIMIT_BYTES {
        return Err(format!(
            "the function's response of {} bytes is over the limit of {ANSWER_LIMIT_BYTES}",
            answer.len()
        ));
    }
    // A map, not a struct: serde would take an array for a struct as well.
    let mut answer: Map<String, Value> = serde_json::from_slice(answer)
        .map_err(|_| "the function's response is not a JSON object".to_owned())?;

    let status = match answer.get("statusCode") {
        Some(Value::Number(number)) => number
            .as_u64()
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (200..600).contains(code))
            .and_then(|code| StatusCode::from_u16(code).ok())
            .ok_or_else(|| format!("the statusCode {number} is not one of HTTP's"))?,
        // Netlify's own words for it, which people search for.
        other => {
            let given = other.map_or("undefined".to_owned(), Value::to_string);
            return Err(format!(
                "Your function response must have a numerical statusCode. You gave: {given}"
            ));
        }
    };
    let headers = headers(&mut answer)?;
    let body = match answer.remove("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(body)) if answer.get("isBase64Encoded") == Some(&Value::Bool(true)) => {
            let decoded = STANDARD.decode(body).map_err(|_| {
                "the response says isBase64Encoded, but its body is not base64".to_owned()
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

/// Both maps as one; for a name that stands in both, the list counts, as in API Gateway.
fn headers(answer: &mut Map<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in object(answer, "headers")? {
        headers.insert(header_name(&name)?, header_value(&name, &value)?);
    }
    for (name, values) in object(answer, "multiValueHeaders")? {
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
    for name in CONNECTION_ONLY {
        headers.remove(name);
    }
    Ok(headers)
}

fn object(answer: &mut Map<String, Value>, key: &str) -> Result<Map<String, Value>, String> {
    match answer.remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(format!("the response's {key} is not an object")),
    }
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    name.parse()
        .map_err(|_| format!("the response has a header with the invalid name {name:?}"))
}

/// The message names the header and not its value, which may be a secret.
fn header_value(name: &str, value: &Value) -> Result<HeaderValue, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(format!("the response's header {name:?} is not a string")),
    };
    text.parse()
        .map_err(|_| format!("the response's header {name:?} has an invalid value"))
}

/// AWS Lambda's limit for a response: 6 MB and some room for what is around the body.
const ANSWER_LIMIT_BYTES: usize = BODY_LIMIT_BYTES + 100;

/// What the server says of its own connection and of the length it sends.
const CONNECTION_ONLY: [&str; 8] = [
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

    fn decoded(answer: Value) -> Response<Bytes> {
        response(Ok(answer.to_string().into()))
    }

    fn message(response: &Response<Bytes>) -> String {
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        body["errorMessage"].as_str().unwrap().to_owned()
    }

    #[test]
    fn answer_becomes_status_headers_and_body() {
        let response = decoded(json!({
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
    fn answer_without_headers_and_body_is_an_empty_response() {
        let response = decoded(json!({"statusCode": 204, "headers": null, "body": null}));
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert!(response.body().is_empty() && response.headers().is_empty());
    }

    #[test]
    fn base64_body_is_decoded() {
        let answer = json!({"statusCode": 200, "body": "iVBORwD//gE=", "isBase64Encoded": true});
        assert_eq!(decoded(answer).body().as_ref(), b"\x89PNG\x00\xff\xfe\x01");
    }

    #[test]
    fn answer_that_is_no_response_is_a_502_that_says_why() {
        for (answer, reason) in [
            (json!("text"), "not a JSON object"),
            (json!([200, {}, {}, "x"]), "not a JSON object"),
            (json!({"body": "x"}), "You gave: undefined"),
            (json!({"statusCode": "200"}), "You gave: \"200\""),
            (json!({"statusCode": 101}), "not one of HTTP's"),
            (json!({"statusCode": 200.5}), "not one of HTTP's"),
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
            let response = decoded(answer);
            assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
            assert_eq!(response.headers().len(), 1);
            let message = message(&response);
            assert!(message.contains(reason), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
        let large = json!({"statusCode": 200, "body": "x".repeat(ANSWER_LIMIT_BYTES)});
        assert!(message(&decoded(large)).contains("over the limit"));
    }

    #[test]
    fn function_without_an_answer_is_a_gateway_error() {
        let failed = response(Err(InvokeError::Function {
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
        let exited = response(Err(InvokeError::Exited { detail }));
        assert_eq!(exited.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(message(&exited), "exit status: 1");

        let limit = Duration::from_millis(1500);
        let late = response(Err(InvokeError::TimedOut { limit }));
        assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(message(&late), "Task timed out after 1.50 seconds");
    }
}
