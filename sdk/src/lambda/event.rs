//! The events of Lambda: HTTP requests, and all others.

use std::fmt;

use lambda_http::{Context, Request};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::database::Database;
use crate::lambda::event_format::EventFormat;
use crate::lambda::http_event::{HttpEvent, refuse_unreadable};
use crate::problem::Problem;

/// The payload of an invocation.
pub(super) enum Payload {
    /// An HTTP request of a format that [`HttpEvent`] reads, or the response to one that cannot be
    /// converted.
    Request(EventFormat, Result<Box<Request>, Problem>),
    /// Any other event.
    Other(Box<RawValue>),
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?;
        Ok(Self::of_event(text))
    }
}

impl Payload {
    fn of_event(text: &RawValue) -> Self {
        if let Ok(event) = serde_json::from_str::<HttpEvent<'_>>(text.get())
            && let Some(format) = event.format()
        {
            let request = event.into_request(format).map(Box::new);
            return Self::Request(format, request);
        }
        if let Some((format, problem)) = refuse_unreadable(text.get()) {
            return Self::Request(format, Err(problem));
        }
        Self::Other(text.to_owned())
    }
}

/// An event that is no HTTP request: a schedule's, a queue's, a ping, a message of a WebSocket API,
/// the question to an authorizer of API Gateway.
///
/// [`run_with_events`](crate::run_with_events) passes it to a handler of its own.
pub struct Event {
    payload: Box<RawValue>,
    context: Context,
    database: Database,
}

impl Event {
    pub(super) fn new(payload: Box<RawValue>, context: Context, database: Database) -> Self {
        Self {
            payload,
            context,
            database,
        }
    }

    /// Reads the event's JSON as a value of this type.
    ///
    /// # Errors
    ///
    /// When the event's JSON is no value of this type.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.payload.get())
    }

    /// Returns the database of the stage of this invocation.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Returns the context of the invocation.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

impl fmt::Debug for Event {
    /// Omits the payload, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("request_id", &self.context.request_id)
            .finish_non_exhaustive()
    }
}

/// Describes another event by the names of its members: their values may be secret.
pub(super) fn none_of_these(text: &str) -> String {
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
         invokes the function, or serve such events with stagelink::run_with_events"
    )
}

fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.len() <= 40 && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use lambda_http::RequestExt as _;
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

    fn read_event(event: &Value) -> Result<Request, Problem> {
        match read(event) {
            Payload::Request(_, request) => request.map(|request| *request),
            Payload::Other(text) => panic!("{text} is no request"),
        }
    }

    fn read(event: &Value) -> Payload {
        serde_json::from_str(&event.to_string()).unwrap()
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
    fn request_with_a_member_of_another_type_is_refused_by_its_own_reader() {
        let mut event = rest();
        event["rawUrl"] = json!(false);
        event["headers"]["x-forwarded-proto"] = json!("https,https");
        let problem = read_event(&event).unwrap_err();
        assert_eq!(problem.status(), 400);
    }

    #[test]
    fn event_with_a_member_twice_is_refused_by_its_own_reader() {
        let twice = r#""rawUrl": "https://a.example/", "rawUrl": "https://b.example/""#;
        for event in [
            format!(r#"{{"httpMethod": "GET", {twice}, "requestContext": {{}}}}"#),
            r#"{"requestContext": {}, "httpMethod": "GET", "requestContext": {}}"#.to_owned(),
            format!(
                r#"{{"path": "/", "httpMethod": "GET", {twice}, "requestContext": {{"elb": {{}}}},
                "headers": {{"host": "a.example", "x-forwarded-proto": "https,https"}}}}"#
            ),
        ] {
            let Payload::Request(_, Err(problem)) = serde_json::from_str(&event).unwrap() else {
                panic!("{event} is not refused");
            };
            assert_eq!(problem.status(), 400);
        }
    }

    #[test]
    fn bad_header_costs_that_header() {
        let mut event = rest();
        event["headers"] =
            json!({"x-bad": "a\nb", "x bad": "1", "x-number": 7, "x-list": ["1", "2"]});
        event["multiValueHeaders"] = json!({
            "accept": ["text/html", "a\rb", {"x": 1}, "text/plain"], "": ["1"], "Cookie": ["a=1", "b=2"],
        });
        let request = read_event(&event).unwrap();
        let all: Vec<_> = request.headers().get_all("accept").iter().collect();
        assert_eq!(all, ["text/html", "text/plain"]);
        assert_eq!(request.headers()["x-number"], "7");
        assert_eq!(request.headers().get_all("x-list").iter().count(), 2);
        assert_eq!(request.headers()["cookie"], "a=1; b=2");
        assert_eq!(request.headers().len(), 6);
    }

    #[test]
    fn more_headers_than_fit_are_left_out() {
        let mut event = rest();
        let many: serde_json::Map<_, _> = (0..40_000)
            .map(|n| (format!("x-{n}"), json!("1")))
            .collect();
        event["headers"] = Value::Object(many);
        assert!(read_event(&event).unwrap().headers().len() > 20_000);
    }

    #[test]
    fn query_has_the_order_and_spelling_in_which_it_was_sent() {
        let sent = "z=1&a=x%20y&z=%c3%a9&b=+&_=&c";
        let mut netlify = rest();
        netlify["multiValueQueryStringParameters"] =
            json!({"a": ["x y"], "b": [" "], "z": ["1", "é"], "_": [""], "c": [""]});
        netlify["rawQuery"] = json!(sent);
        let mut by_url = netlify.clone();
        by_url.as_object_mut().unwrap().remove("rawQuery");
        by_url["rawUrl"] = json!(format!("https://shop.example/api/echo?{sent}"));
        let http = json!({
            "version": "2.0", "rawPath": "/", "rawQueryString": sent,
            "queryStringParameters": {"z": "1,é", "a": "x y"},
            "requestContext": {"http": {"method": "GET"}},
        });
        for event in [netlify, by_url, http] {
            let request = read_event(&event).unwrap();
            assert_eq!(request.uri().query(), Some(sent));
            let parameters = request.query_string_parameters();
            assert_eq!(parameters.all("z"), Some(vec!["1", "é"]));
            assert_eq!(parameters.first("a"), Some("x y"));
            assert_eq!(parameters.first("b"), Some(" "));
        }
    }

    #[test]
    fn query_without_its_text_has_the_order_of_the_event() {
        let parameters = r#"{"z":["1","é"],"a":["x%20y"],"m":["&=+"]}"#;
        for (context, expected) in [
            ("{}", "z=1&z=%C3%A9&a=x%2520y&m=%26%3D%2B"),
            (
                r#"{"elb":{"targetGroupArn":"arn"}}"#,
                "z=1&z=%C3%A9&a=x%20y&m=&=+",
            ),
        ] {
            let event = format!(
                r#"{{"httpMethod":"GET","path":"/","multiValueQueryStringParameters":{parameters},
                    "requestContext":{context}}}"#
            );
            let Ok(Payload::Request(_, request)) = serde_json::from_str(&event) else {
                panic!("{event}");
            };
            assert_eq!(request.unwrap().uri().query(), Some(expected));
        }
    }

    #[test]
    fn parameter_that_the_platform_added_is_not_lost() {
        let mut event = rest();
        event["rawQuery"] = json!("a=1");
        event["multiValueQueryStringParameters"] = json!({"a": ["1"], "id": ["7"]});
        let request = read_event(&event).unwrap();
        assert_eq!(request.uri().query(), Some("a=1&id=7"));
        assert_eq!(request.query_string_parameters().first("id"), Some("7"));
    }

    #[test]
    fn request_that_http_cannot_hold_is_the_clients_mistake() {
        for (member, value) in [
            ("httpMethod", json!("GE T")),
            ("requestContext", json!({"requestTimeEpoch": "now"})),
        ] {
            let mut event = rest();
            event[member] = value;
            assert_eq!(read_event(&event).unwrap_err().status(), 400);
        }
        let mut event = rest();
        event["body"] = json!("no base64!");
        event["isBase64Encoded"] = json!(true);
        assert_eq!(read_event(&event).unwrap_err().status(), 400);
    }

    #[test]
    fn event_of_ones_own_may_have_the_members_of_a_request() {
        let own = json!({"httpMethod": "POST", "path": "/orders", "body": {"order": 7}});
        assert!(matches!(read(&own), Payload::Other(_)));
        for (member, value) in [
            ("requestContext", json!({})),
            ("rawUrl", json!("https://shop.example/orders")),
        ] {
            let mut request = own.clone();
            request[member] = value;
            assert_eq!(read_event(&request).unwrap_err().status(), 400, "{member}");
        }
        // With values of a request's types it is one.
        let mut request = own;
        request["body"] = json!("{}");
        assert_eq!(read_event(&request).unwrap().uri().path(), "/orders");
    }

    #[test]
    fn event_about_a_request_is_none() {
        let mut of_rest = rest();
        of_rest["type"] = json!("REQUEST");
        let of_http = json!({
            "version": "2.0", "type": "REQUEST", "rawPath": "/", "identitySource": ["c4n4ry"],
            "requestContext": {"http": {"method": "GET", "path": "/"}},
        });
        let of_agent = json!({
            "messageVersion": "1.0", "actionGroup": "shop", "apiPath": "/orders",
            "httpMethod": "GET", "parameters": [],
        });
        assert!(matches!(read(&of_agent), Payload::Other(_)));
        for (mut event, member) in [(of_rest, "methodArn"), (of_http, "routeArn")] {
            assert!(matches!(read(&event), Payload::Request(_, Ok(_))));
            event[member] = json!("arn:aws:execute-api:us-east-1:123456789012:api/test/GET/");
            assert!(matches!(read(&event), Payload::Other(_)), "{event}");
            // Nor is one that cannot be read as a request.
            event["body"] = json!({});
            assert!(matches!(read(&event), Payload::Other(_)), "{event}");
        }
    }

    #[test]
    fn event_that_is_no_request_is_described_by_the_names_of_its_members() {
        let queue = json!({"Records": [{"body": "c4n4ry"}]});
        let described = none_of_these(&queue.to_string());
        assert!(described.contains("an object with Records;"), "{described}");
        for event in [
            queue,
            json!({}),
            json!({"a b": 1}),
            json!("c4n4ry"),
            json!([1]),
            json!(null),
        ] {
            assert!(matches!(read(&event), Payload::Other(_)));
            let described = none_of_these(&event.to_string());
            assert!(described.contains("none of these"), "{described}");
            assert!(!described.contains("c4n4ry"), "{described}");
        }
    }
}
