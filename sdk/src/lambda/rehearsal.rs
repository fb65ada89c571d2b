//! The conversion of an arbitrary event, for the fuzzer.

use http::{HeaderMap, HeaderValue, Uri};
use lambda_http::RequestExt as _;
use percent_encoding::percent_decode_str;

use crate::lambda::event::{Payload, none_of_these};
use crate::lambda::invocation_context::invocation_context;
use crate::lambda::self_check::accepted;
use crate::self_check::{SelfCheckInvocation, SelfCheckKey};

/// Converts an event into a request, and returns whether it was one. The text before the first NUL
/// is the client context.
///
/// # Panics
///
/// When the conversion does, or its request has another path than the event.
pub(crate) fn rehearse_event(input: &[u8]) -> bool {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let event = match second {
        Some(event) => {
            check_context(first);
            event
        }
        None => first,
    };
    let request = match serde_json::from_slice(event) {
        Ok(Payload::Request(_, Ok(request))) => request,
        Ok(Payload::Request(_, Err(problem))) => {
            assert!(problem.status().is_client_error());
            return true;
        }
        Ok(Payload::Other(event)) => {
            none_of_these(event.get());
            return false;
        }
        Err(_) => return false,
    };
    let key = SelfCheckKey::parse(&"07".repeat(32)).expect("a key");
    assert!(accepted(&request, &key).is_none(), "the input is signed");
    let uri = request.uri();
    let again: Uri = uri.to_string().parse().expect("the URI is one");
    assert_eq!(again.path_and_query(), uri.path_and_query());
    let decode = |path: &str| percent_decode_str(path).collect::<Vec<u8>>();
    let (raw, path) = (decode(request.raw_http_path()), decode(uri.path()));
    assert!(path.ends_with(&raw), "the path is another one");
    true
}

fn check_context(text: &[u8]) {
    let mut headers = HeaderMap::new();
    for name in [
        "lambda-runtime-aws-request-id",
        "lambda-runtime-client-context",
        "lambda-runtime-cognito-identity",
        "lambda-runtime-deadline-ms",
    ] {
        if let Ok(value) = HeaderValue::from_bytes(text) {
            headers.insert(name, value);
        }
    }
    let context = invocation_context(&headers, &std::sync::Arc::default());
    let client_context = context.and_then(|context| context.client_context);
    for member in client_context
        .iter()
        .flat_map(|client| client.custom.values())
    {
        SelfCheckInvocation::parse(member);
    }
}
