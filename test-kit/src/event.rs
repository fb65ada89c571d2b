//! The event and the headers by which AWS Lambda invokes a function for a request.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

/// The sender of a function's requests, which gives their events a form of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Platform {
    /// Netlify: API Gateway's event of version 1, with Netlify's own members.
    #[default]
    Netlify,
    /// A Lambda function URL, or an HTTP API of API Gateway: the event of version 2.
    FunctionUrl,
}

/// A request that becomes an event.
pub(crate) struct EventRequest<'a> {
    pub(crate) method: &'a Method,
    /// Path and query, as a client sends them.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
}

impl EventRequest<'_> {
    /// Returns the event that the platform makes of it.
    pub(crate) fn to_event(&self, platform: Platform) -> String {
        let event = match platform {
            Platform::Netlify => self.netlify(),
            Platform::FunctionUrl => self.function_url(),
        };
        event.to_string()
    }

    fn netlify(&self) -> Value {
        let (path, query) = self.parts();
        let headers = self.headers();
        let mut parameters = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let values = parameters.entry(name.into_owned()).or_default();
            values.push(value.into_owned());
        }
        let (body, is_base64_encoded) = self.body();
        let question = if query.is_empty() { "" } else { "?" };
        json!({
            "resource": "",
            "path": path,
            "httpMethod": self.method.as_str(),
            "queryStringParameters": joined(&parameters),
            "multiValueQueryStringParameters": parameters,
            "headers": joined(&headers),
            "multiValueHeaders": headers,
            "body": body,
            "isBase64Encoded": is_base64_encoded,
            "rawUrl": format!("https://{HOST}{path}{question}{query}"),
            "rawQuery": query,
            "requestContext": {
                "httpMethod": self.method.as_str(),
                "requestTimeEpoch": now_ms(Duration::ZERO),
            },
        })
    }

    fn function_url(&self) -> Value {
        let (path, query) = self.parts();
        let (body, is_base64_encoded) = self.body();
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": joined(&self.headers()),
            "requestContext": {
                "accountId": "anonymous",
                "apiId": "test",
                "domainName": HOST,
                "http": {
                    "method": self.method.as_str(),
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "stagelink-test",
                },
                "requestId": "test",
                "stage": "$default",
                "timeEpoch": now_ms(Duration::ZERO),
            },
            "body": body,
            "isBase64Encoded": is_base64_encoded,
        })
    }

    fn parts(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((self.target, ""))
    }

    fn headers(&self) -> BTreeMap<String, Vec<String>> {
        let mut headers = BTreeMap::<_, Vec<_>>::new();
        headers.insert("host".to_owned(), vec![HOST.to_owned()]);
        headers.insert("x-forwarded-proto".to_owned(), vec!["https".to_owned()]);
        for name in self.headers.keys() {
            let values = self.headers.get_all(name).iter();
            let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            headers.insert(name.as_str().to_owned(), values.collect());
        }
        headers
    }

    /// Returns the body as text, or in base64 where it is none.
    fn body(&self) -> (Option<String>, bool) {
        if self.body.is_empty() {
            return (None, false);
        }
        match std::str::from_utf8(self.body) {
            Ok(text) => (Some(text.to_owned()), false),
            Err(_) => (Some(STANDARD.encode(self.body)), true),
        }
    }
}

/// Returns the headers that the Lambda Runtime API sends with an event.
pub(crate) fn runtime_headers(time_limit: Duration) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let id = format!("test-{:016x}", fastrand::u64(..));
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:test";
    for (name, value) in [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-invoked-function-arn", arn.to_owned()),
        ("lambda-runtime-deadline-ms", now_ms(time_limit).to_string()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    headers
}

fn joined(values: &BTreeMap<String, Vec<String>>) -> BTreeMap<&str, String> {
    let join = |(name, values): (&'_ String, &Vec<String>)| values.join(separator(name));
    let pairs = values.iter();
    pairs.map(|pair| (pair.0.as_str(), join(pair))).collect()
}

fn separator(name: &str) -> &'static str {
    if name == "cookie" { "; " } else { ", " }
}

fn now_ms(later: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let then = now.unwrap_or_default() + later;
    u64::try_from(then.as_millis()).unwrap_or(u64::MAX)
}

const HOST: &str = "test.example";
