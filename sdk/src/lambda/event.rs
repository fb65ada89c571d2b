//! Converts AWS Lambda's events into HTTP requests.

use std::task::{Context, Poll};

use lambda_http::LambdaEvent;
use lambda_http::request::LambdaRequest;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;
use serde_json::value::RawValue;
use tower_service::Service;

/// A request as Netlify, API Gateway, a function URL or a load balancer writes it.
///
/// `lambda_http` tries one form after the other; this looks at the beginning of the event for the
/// likeliest form. It also accepts `null` as a header's or a parameter's value, which
/// `lambda_http` refuses: `netlify dev --offline` sends
/// `"multiValueHeaders":{"x-nf-account-id":[null]}` (netlify-cli, 2026-11). Such values are left
/// out, by a second parse that other events do not pay for.
pub(super) struct Event(LambdaRequest);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        // A request is a large value: a valid one is moved once only.
        match Form::of(text).read(text) {
            Ok(request) => Ok(Self(request)),
            Err(_) => match otherwise(text) {
                Some(request) => Ok(Self(request)),
                None => Err(D::Error::custom(none_of_these(text))),
            },
        }
    }
}

/// Reads an event that is not the form that it seems to be.
#[cold]
fn otherwise(text: &str) -> Option<LambdaRequest> {
    any_form(text)
        .or_else(|| any_form(&without_nulls(text)?))
        // Other forms, for which the function has turned features of lambda_http on.
        .or_else(|| serde_json::from_str(text).ok())
}

fn any_form(text: &str) -> Option<LambdaRequest> {
    Form::ALL.iter().find_map(|form| form.read(text).ok())
}

/// The forms of an HTTP request. Each has a member that the others lack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// API Gateway's REST APIs, version 1 of its HTTP APIs' payload, and Netlify.
    Rest,
    /// API Gateway's HTTP APIs, and function URLs.
    Http,
    /// An Application Load Balancer.
    LoadBalancer,
}

impl Form {
    const ALL: [Self; 3] = [Self::Rest, Self::Http, Self::LoadBalancer];

    /// Guesses the form by the beginning of the event, which each service writes in one way. For
    /// another caller's event the guess may be wrong, which costs a second parse.
    fn of(text: &str) -> Self {
        if text.starts_with(r#"{"version":"2.0""#) {
            Self::Http
        } else if text.starts_with(r#"{"requestContext":{"elb""#) {
            Self::LoadBalancer
        } else {
            Self::Rest
        }
    }

    fn read(self, text: &str) -> serde_json::Result<LambdaRequest> {
        Ok(match self {
            Self::Rest => LambdaRequest::ApiGatewayV1(serde_json::from_str(text)?),
            Self::Http => LambdaRequest::ApiGatewayV2(serde_json::from_str(text)?),
            Self::LoadBalancer => LambdaRequest::Alb(serde_json::from_str(text)?),
        })
    }
}

/// Returns the event without the headers and parameters that have no value.
fn without_nulls(text: &str) -> Option<String> {
    let mut event: Value = serde_json::from_str(text).ok()?;
    for name in MAPS {
        match event.get_mut(name) {
            Some(Value::Object(map)) => map.retain(|_, value| drop_nulls(value)),
            Some(list @ Value::Array(_)) => {
                drop_nulls(list);
            }
            _ => {}
        }
    }
    Some(event.to_string())
}

/// Removes the nulls of a value, and returns whether anything is left of it.
fn drop_nulls(value: &mut Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => {
            list.retain(|value| !value.is_null());
            !list.is_empty()
        }
        _ => true,
    }
}

/// The members that hold headers and parameters.
const MAPS: [&str; 7] = [
    "headers",
    "multiValueHeaders",
    "queryStringParameters",
    "multiValueQueryStringParameters",
    "pathParameters",
    "stageVariables",
    "cookies",
];

/// Describes another event by the names of its members: their values may be secret.
fn none_of_these(text: &str) -> String {
    let event = serde_json::from_str(text).unwrap_or_default();
    let is = match event {
        Value::Object(members) => {
            let shown = members
                .keys()
                .map(String::as_str)
                .filter(|name| is_plain(name));
            let shown: Vec<&str> = shown.take(8).collect();
            match shown.as_slice() {
                [] => "an object without a member that is known".to_owned(),
                shown => format!("an object with {}", shown.join(", ")),
            }
        }
        _ => "no object".to_owned(),
    };
    format!(
        "this function answers HTTP requests as Netlify, API Gateway, a function URL or a load \
         balancer send them, and this event is none of these: it is {is}; look after what else \
         invokes the function"
    )
}

fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.len() <= 40 && name.bytes().all(is_plain)
}

/// A service of events around one of `lambda_http`'s requests.
#[derive(Clone)]
pub(super) struct Events<S>(pub(super) S);

impl<S: Service<LambdaEvent<LambdaRequest>>> Service<LambdaEvent<Event>> for Events<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, event: LambdaEvent<Event>) -> S::Future {
        let (Event(request), context) = event.into_parts();
        self.0.call(LambdaEvent::new(request, context))
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::{Request, RequestExt as _};
    use serde_json::json;

    use super::*;

    fn rest() -> Value {
        json!({
            "resource": "", "path": "/api/echo", "httpMethod": "GET",
            "headers": {"host": "localhost"}, "multiValueHeaders": {"host": ["localhost"]},
            "queryStringParameters": null, "multiValueQueryStringParameters": null,
            "body": null, "isBase64Encoded": false,
            "requestContext": {"httpMethod": "GET"},
        })
    }

    fn read_event(event: &Value) -> Result<Request, String> {
        let event: Result<Event, _> = serde_json::from_str(&event.to_string());
        event
            .map(|Event(request)| request.into())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn header_without_a_value_is_left_out() {
        let mut event = rest();
        event["multiValueHeaders"]["x-nf-account-id"] = json!([null]);
        event["multiValueHeaders"]["accept"] = json!([null, "text/html"]);
        event["headers"]["x-nf-account-id"] = Value::Null;
        event["multiValueQueryStringParameters"] = json!({"a": ["1", null], "b": [null]});
        event["pathParameters"] = json!({"id": null});
        let request = read_event(&event).unwrap();
        assert!(!request.headers().contains_key("x-nf-account-id"));
        assert_eq!(request.headers()["accept"], "text/html");
        assert_eq!(request.query_string_parameters().all("a"), Some(vec!["1"]));
        assert_eq!(request.query_string_parameters().first("b"), None);
    }

    #[test]
    fn value_that_looks_like_another_form_is_none() {
        let mut event = rest();
        event["headers"]["x-team"] = json!("elb");
        assert_eq!(read_event(&event).unwrap().uri().path(), "/api/echo");
        let mut event = rest();
        event["body"] = json!(r#"{"httpMethod":"x","elb":1}"#);
        assert_eq!(read_event(&event).unwrap().uri().path(), "/api/echo");
        let event = json!({
            "version": "2.0", "rawPath": "/", "headers": {"x-team": "httpMethod"},
            "requestContext": {"http": {"method": "PUT"}},
        });
        assert_eq!(read_event(&event).unwrap().method(), "PUT");
    }

    #[test]
    fn event_that_is_no_request_is_refused_by_the_names_of_its_members() {
        let error = read_event(&json!({"Records": [{"body": "c4n4ry"}]})).unwrap_err();
        assert!(error.contains("an object with Records;"), "{error}");
        assert!(!error.contains("c4n4ry"));
        for event in [json!({}), json!({"a b": 1}), json!("c4n4ry"), json!([1])] {
            let error = read_event(&event).unwrap_err();
            assert!(error.contains("none of these"), "{error}");
            assert!(!error.contains("c4n4ry"), "{error}");
        }
    }
}
