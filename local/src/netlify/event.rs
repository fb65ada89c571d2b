//! The event that a Netlify function gets for a request: API Gateway's proxy event, version 1.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The largest encoded body of an event, in bytes: 6 MB, so 4.5 MB for a binary body, which is
/// encoded in base64 (docs.netlify.com/build/functions/configuration).
pub(super) const BODY_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// Id of the site in `x-nf-site-id`.
pub(super) const SITE_ID: &str = "5a6e0c1d-7d1b-4b8e-9f50-10ca15170000";

/// Id of the account in `x-nf-account-id`.
pub(super) const ACCOUNT_ID: &str = "local";

/// A whole request, with the facts that its event needs.
#[derive(Debug)]
pub(super) struct EventRequest<'a> {
    pub(super) method: &'a Method,
    /// URI as the client sent it: a rewrite does not change the path that a function sees.
    pub(super) uri: &'a Uri,
    /// Query after a rewrite, which may add parameters.
    pub(super) query: Option<&'a str>,
    /// Host, with a port if the client sent one.
    pub(super) authority: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Bytes,
    pub(super) client: IpAddr,
    pub(super) request_id: &'a str,
    pub(super) time_epoch_ms: u64,
    /// The platform's own reason for the request, such as `schedule`.
    pub(super) event: Option<&'a str>,
}

/// The encoded body is over [`BODY_LIMIT_BYTES`].
#[derive(Debug)]
pub(super) struct BodyTooLarge;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    resource: &'a str,
    path: &'a str,
    http_method: &'a str,
    query_string_parameters: BTreeMap<&'a str, String>,
    multi_value_query_string_parameters: &'a BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>,
    headers: BTreeMap<&'a str, String>,
    multi_value_headers: &'a BTreeMap<&'a str, Vec<String>>,
    body: Option<Cow<'a, str>>,
    is_base64_encoded: bool,
    raw_url: String,
    raw_query: &'a str,
    request_context: RequestContext<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    http_method: &'a str,
    request_time_epoch: u64,
}

impl EventRequest<'_> {
    /// Returns the event's JSON.
    ///
    /// Header names are lower case. A header value that is not UTF-8 is read as Latin-1, so that no
    /// value is lost or null. The values of a repeated header or parameter are joined by `", "`
    /// (cookies by `"; "`), and are a list in the multi-value maps.
    pub(super) fn to_event(&self) -> Result<Bytes, BodyTooLarge> {
        let path = self.uri.path();
        let raw_query = self.query.unwrap_or("");
        let question = if raw_query.is_empty() { "" } else { "?" };
        let (body, is_base64_encoded) = self.encoded_body();
        if body
            .as_ref()
            .is_some_and(|body| body.len() > BODY_LIMIT_BYTES)
        {
            return Err(BodyTooLarge);
        }

        let mut parameters = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in form_urlencoded::parse(raw_query.as_bytes()) {
            parameters.entry(name).or_default().push(value);
        }
        let mut headers = self.client_headers();
        for (name, value) in self.platform_headers() {
            headers.insert(name, vec![value]);
        }
        if let Some(event) = self.event {
            headers.insert("x-nf-event", vec![event.to_owned()]);
        }

        let event = Event {
            resource: "",
            path,
            http_method: self.method.as_str(),
            query_string_parameters: parameters
                .iter()
                .map(|(name, values)| (name.as_ref(), values.join(", ")))
                .collect(),
            multi_value_query_string_parameters: &parameters,
            headers: headers
                .iter()
                .map(|(name, values)| (*name, join_values(name, values)))
                .collect(),
            multi_value_headers: &headers,
            body,
            is_base64_encoded,
            raw_url: format!("http://{}{path}{question}{raw_query}", self.authority),
            raw_query,
            request_context: RequestContext {
                http_method: self.method.as_str(),
                request_time_epoch: self.time_epoch_ms,
            },
        };
        let json = serde_json::to_vec(&event).expect("a struct of strings and numbers is JSON");
        Ok(json.into())
    }

    /// Returns the client's headers, without those that only the platform may set and without
    /// hop-by-hop headers.
    fn client_headers(&self) -> BTreeMap<&str, Vec<String>> {
        let mut headers = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in self.headers {
            if !name.as_str().starts_with("x-nf-") && !HOP_BY_HOP.contains(name) {
                headers
                    .entry(name.as_str())
                    .or_default()
                    .push(to_text(value));
            }
        }
        headers
    }

    /// Returns the headers that the platform sets, whatever the client sent.
    fn platform_headers(&self) -> [(&'static str, String); 8] {
        let client = self.client.to_canonical().to_string();
        // Appended, as proxies do. The entries before the last come from the client, so a function
        // that trusts them shows its mistake here, too.
        let forwarded: Vec<String> = self
            .headers
            .get_all("x-forwarded-for")
            .iter()
            .map(to_text)
            .chain([client.clone()])
            .collect();
        [
            ("host", self.authority.to_owned()),
            ("client-ip", client.clone()),
            ("x-forwarded-for", forwarded.join(", ")),
            // lambda_http assumes https if this header is missing.
            ("x-forwarded-proto", "http".to_owned()),
            ("x-nf-client-connection-ip", client),
            ("x-nf-request-id", self.request_id.to_owned()),
            ("x-nf-site-id", SITE_ID.to_owned()),
            ("x-nf-account-id", ACCOUNT_ID.to_owned()),
        ]
    }

    /// Returns the body as text or in base64, and whether it is in base64.
    ///
    /// Netlify does not document its rule. This one is lossless: a body is text if its content type
    /// is a text type or missing and its bytes are UTF-8.
    fn encoded_body(&self) -> (Option<Cow<'_, str>>, bool) {
        if self.body.is_empty() {
            return (None, false);
        }
        let content_type = self.headers.get(header::CONTENT_TYPE);
        match str::from_utf8(self.body) {
            Ok(body) if content_type.is_none_or(is_text) => (Some(body.into()), false),
            _ => (Some(STANDARD.encode(self.body).into()), true),
        }
    }
}

fn is_text(content_type: &HeaderValue) -> bool {
    let content_type = content_type.to_str().unwrap_or("").to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence.starts_with("text/")
        || TEXT_TYPES.contains(&essence)
        || TEXT_SUFFIXES.iter().any(|suffix| essence.ends_with(suffix))
}

fn to_text(value: &HeaderValue) -> String {
    match str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    }
}

fn join_values(name: &str, values: &[String]) -> String {
    values.join(if name == header::COOKIE { "; " } else { ", " })
}

const TEXT_TYPES: [&str; 6] = [
    "application/json",
    "application/javascript",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "application/xml",
    "application/yaml",
];

const TEXT_SUFFIXES: [&str; 3] = ["+json", "+xml", "+yaml"];

const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Returns the time in milliseconds since the Unix epoch.
pub(super) fn now_epoch_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::request::LambdaRequest;
    use lambda_http::{Body, Request, RequestExt};
    use serde_json::{Value, json};

    fn new_event(method: &str, uri: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Bytes {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value).unwrap();
            map.append(name.parse::<HeaderName>().unwrap(), value);
        }
        let uri: Uri = uri.parse().unwrap();
        let request = EventRequest {
            method: &method.parse().unwrap(),
            query: uri.query(),
            uri: &uri,
            authority: "localhost:8888",
            headers: &map,
            body: &Bytes::copy_from_slice(body),
            client: "::ffff:127.0.0.1".parse().unwrap(),
            request_id: "01J00000000000000000000000",
            time_epoch_ms: 1_700_000_000_000,
            event: None,
        };
        request.to_event().unwrap()
    }

    fn parsed(event: &Bytes) -> Request {
        match serde_json::from_slice(event).unwrap() {
            LambdaRequest::ApiGatewayV1(request) => LambdaRequest::ApiGatewayV1(request).into(),
            other => panic!("not an API Gateway v1 event: {other:?}"),
        }
    }

    #[test]
    fn event_has_the_format_of_netlify() {
        let uri = "/.netlify/functions/hello/sub/path?a=1&a=2&b=x%20y";
        let sent = new_event(
            "POST",
            uri,
            &[("content-type", b"application/json")],
            b"{\"k\":1}",
        );
        let headers = json!({
            "client-ip": "127.0.0.1",
            "content-type": "application/json",
            "host": "localhost:8888",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "http",
            "x-nf-account-id": ACCOUNT_ID,
            "x-nf-client-connection-ip": "127.0.0.1",
            "x-nf-request-id": "01J00000000000000000000000",
            "x-nf-site-id": SITE_ID,
        });
        let lists: serde_json::Map<String, Value> = headers
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), json!([value])))
            .collect();
        let wanted = json!({
            "resource": "",
            "path": "/.netlify/functions/hello/sub/path",
            "httpMethod": "POST",
            "queryStringParameters": {"a": "1, 2", "b": "x y"},
            "multiValueQueryStringParameters": {"a": ["1", "2"], "b": ["x y"]},
            "headers": headers,
            "multiValueHeaders": lists,
            "body": "{\"k\":1}",
            "isBase64Encoded": false,
            "rawUrl": format!("http://localhost:8888{uri}"),
            "rawQuery": "a=1&a=2&b=x%20y",
            "requestContext": {"httpMethod": "POST", "requestTimeEpoch": 1_700_000_000_000u64},
        });
        assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), wanted);
    }

    #[test]
    fn event_is_parsed_by_lambda_http() {
        let headers: [(&str, &[u8]); 4] = [
            ("accept", b"text/html"),
            ("accept", b"*/*"),
            ("x-latin", b"caf\xe9"),
            ("x-utf8", "café".as_bytes()),
        ];
        let sent = new_event(
            "PUT",
            "/api/caf%C3%A9?a=1&a=2&b=x%20y&c=%26&d",
            &headers,
            b"hi",
        );
        let request = parsed(&sent);
        assert_eq!(request.method(), "PUT");
        assert_eq!(request.uri().scheme_str(), Some("http"));
        assert_eq!(request.uri().authority().unwrap(), "localhost:8888");
        assert_eq!(request.uri().path(), "/api/caf%C3%A9");
        assert_eq!(request.raw_http_path(), "/api/caf%C3%A9");
        let query = request.query_string_parameters();
        assert_eq!(query.all("a").unwrap(), ["1", "2"]);
        assert_eq!(
            (query.first("b"), query.first("c")),
            (Some("x y"), Some("&"))
        );
        assert_eq!(query.first("d"), Some(""));
        assert_eq!(request.headers()["accept"], "text/html, */*");
        assert_eq!(request.headers()["x-latin"].as_bytes(), "café".as_bytes());
        assert_eq!(request.headers()["x-utf8"].as_bytes(), "café".as_bytes());
        assert!(matches!(request.body(), Body::Text(text) if text == "hi"));
    }

    #[test]
    fn event_of_a_minimal_get_is_parsed_by_lambda_http() {
        let request = parsed(&new_event("GET", "/", &[], b""));
        assert_eq!(request.uri(), "http://localhost:8888/");
        assert!(matches!(request.body(), Body::Empty));
    }

    #[test]
    fn binary_body_is_encoded_in_base64() {
        let png: (&str, &[u8]) = ("content-type", b"image/png");
        let latin: (&str, &[u8]) = ("content-type", b"text/plain; charset=latin1");
        let form: (&str, &[u8]) = ("content-type", b"multipart/form-data; boundary=x");
        let odd: (&str, &[u8]) = ("content-type", b"application/problem+JSON ; a=b");
        for (headers, body, encoded) in [
            (&[png][..], &b"\x89PNG\xff"[..], true),
            (&[png], b"plain", true),
            (&[form], b"--x--", true),
            (&[latin], b"caf\xe9", true),
            (&[odd], b"{}", false),
            (&[], b"plain", false),
            (&[], b"\xff", true),
        ] {
            let sent = new_event("POST", "/", headers, body);
            let json: Value = serde_json::from_slice(&sent).unwrap();
            assert_eq!(json["isBase64Encoded"], encoded, "{body:?}");
            assert_eq!(parsed(&sent).body().as_ref(), body);
        }
    }

    #[test]
    fn platform_headers_of_the_client_are_dropped() {
        let headers: [(&str, &[u8]); 9] = [
            ("x-nf-deploy-context", b"production"),
            ("x-nf-site-id", b"spoofed"),
            ("x-nf-client-connection-ip", b"9.9.9.9"),
            ("client-ip", b"9.9.9.9"),
            ("x-forwarded-for", b"9.9.9.9"),
            ("x-forwarded-proto", b"no scheme"),
            ("host", b"evil.test"),
            ("cookie", b"a=1"),
            ("cookie", b"b=2"),
        ];
        let sent = new_event("GET", "/", &headers, b"");
        let request = parsed(&sent);
        let got = request.headers();
        assert!(!got.contains_key("x-nf-deploy-context"));
        assert_eq!(got["x-nf-site-id"], SITE_ID);
        assert_eq!(got["x-nf-client-connection-ip"], "127.0.0.1");
        assert_eq!(got["client-ip"], "127.0.0.1");
        assert_eq!(got["x-forwarded-for"], "9.9.9.9, 127.0.0.1");
        assert_eq!(got["host"], "localhost:8888");
        assert_eq!(got["cookie"], "a=1; b=2");
        assert!(!String::from_utf8_lossy(&sent).contains("spoofed"));
    }
}
