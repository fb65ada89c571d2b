//! Converts a collected streaming response into a buffered response.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::invocation::FunctionError;
use super::invoke_error::InvokeError;

/// Content type of a streaming response that has a prelude before its body.
pub(super) const INTEGRATION_RESPONSE: &str = "application/vnd.awslambda.http-integration-response";

/// Converts `prelude, eight NUL bytes, body` into the response of a buffered function to API
/// Gateway: status, headers, body.
///
/// # Errors
///
/// `Runtime.InvalidStreamingPrelude` if the prelude is missing or is not a JSON object.
pub(super) fn to_buffered(stream: &[u8]) -> Result<Bytes, FunctionError> {
    let invalid = |message: &str| FunctionError {
        error_type: "Runtime.InvalidStreamingPrelude".to_owned(),
        error_message: message.to_owned(),
    };
    let end = stream
        .windows(DELIMITER.len())
        .position(|window| window == DELIMITER)
        .ok_or_else(|| invalid("the streamed response has no prelude"))?;
    let prelude: Map<String, Value> = serde_json::from_slice(&stream[..end])
        .map_err(|_| invalid("the prelude of the streamed response is not a JSON object"))?;
    let body = &stream[end + DELIMITER.len()..];

    let mut headers = Map::new();
    if let Some(Value::Object(given)) = prelude.get("headers") {
        headers.extend(
            given
                .iter()
                .map(|(name, value)| (name.clone(), to_list(value))),
        );
    }
    match prelude.get("cookies") {
        Some(Value::Array(cookies)) if !cookies.is_empty() => {
            headers.insert("set-cookie".to_owned(), Value::Array(cookies.clone()));
        }
        _ => {}
    }
    let (body, encoded) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (BASE64_STANDARD.encode(body), true),
    };
    let response = json!({
        "statusCode": prelude.get("statusCode").cloned().unwrap_or(json!(200)),
        "headers": {},
        "multiValueHeaders": headers,
        "body": body,
        "isBase64Encoded": encoded,
    });
    Ok(response.to_string().into())
}

/// Returns the head of a streamed response as a buffered response without a body, and the number of
/// bytes before the body; `None` while the prelude is not whole.
pub(crate) fn stream_head(start: &[u8]) -> Option<(Result<Bytes, InvokeError>, usize)> {
    let mut windows = start.windows(DELIMITER.len());
    let end = windows.position(|window| window == DELIMITER)? + DELIMITER.len();
    let head = to_buffered(&start[..end]).map_err(InvokeError::from);
    Some((head, end))
}

/// Returns a header's values as a list. The prelude may have a single value without a list.
fn to_list(value: &Value) -> Value {
    match value {
        Value::Array(_) => value.clone(),
        single => json!([single]),
    }
}

const DELIMITER: [u8; 8] = [0; 8];

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(stream: &[u8]) -> Value {
        serde_json::from_slice(&to_buffered(stream).unwrap()).unwrap()
    }

    #[test]
    fn prelude_becomes_status_and_headers() {
        let response = parsed(
            b"{\"statusCode\":201,\"headers\":{\"a\":\"1\",\"b\":[\"2\",\"3\"]},\
              \"cookies\":[\"c=4\"]}\0\0\0\0\0\0\0\0hello",
        );
        assert_eq!(
            response,
            json!({
                "statusCode": 201,
                "headers": {},
                "multiValueHeaders": {"a": ["1"], "b": ["2", "3"], "set-cookie": ["c=4"]},
                "body": "hello",
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn head_is_known_when_its_delimiter_is_whole() {
        let stream = b"{\"statusCode\":201}\0\0\0\0\0\0\0\0he";
        let length = stream.len() - 2;
        assert!(stream_head(&stream[..length - 1]).is_none());
        let (head, end) = stream_head(stream).unwrap();
        assert_eq!(end, length);
        let head: Value = serde_json::from_slice(&head.unwrap()).unwrap();
        assert_eq!(
            (&head["statusCode"], &head["body"]),
            (&json!(201), &json!(""))
        );
    }

    #[test]
    fn binary_body_is_encoded() {
        let response = parsed(b"{}\0\0\0\0\0\0\0\0\xff\xfe");
        assert_eq!(response["statusCode"], 200);
        assert_eq!(response["body"], "//4=");
        assert_eq!(response["isBase64Encoded"], true);
    }

    #[test]
    fn missing_prelude_is_an_error() {
        let error = to_buffered(b"hello").unwrap_err();
        assert_eq!(error.error_type, "Runtime.InvalidStreamingPrelude");
    }
}
