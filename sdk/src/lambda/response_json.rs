//! The JSON in which Lambda takes the response to an HTTP request.
//!
//! Each format has its own place for a header with several values. Where a name has one value, the values of a
//! repeated header are joined (RFC 9110, section 5.3); a cookie is never joined to another.

use std::borrow::Cow;

use http::header::{GetAll, HeaderMap, HeaderValue, SET_COOKIE};
use http::{Response, StatusCode};
use lambda_http::Body;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::lambda::event_format::EventFormat;

/// Writes a response in the format of its request's event.
pub(super) fn response_json(
    format: EventFormat,
    response: &Response<Body>,
) -> Result<Box<RawValue>, serde_json::Error> {
    let (status, headers) = (response.status(), response.headers());
    let mut json = ResponseJson::new(status);
    match format {
        // API Gateway merges both members: a header in both would be sent twice.
        EventFormat::ApiGatewayV1 => {
            json.headers = Some(SingleValues::None);
            json.multi_value_headers = Some(Lists(headers));
        }
        EventFormat::ApiGatewayV2 => json.set_single_values(headers),
        // A load balancer reads the member of the kind that its event has
        // (docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html, 2026-11).
        EventFormat::LoadBalancer { is_multi_value } => {
            let reason = status.canonical_reason().unwrap_or_default();
            let description = format!("{} {reason}", status.as_u16());
            json.status_description = Some(description.trim_end().to_owned());
            match is_multi_value {
                true => json.multi_value_headers = Some(Lists(headers)),
                false => json.headers = Some(SingleValues::WithCookies(headers)),
            }
        }
    }
    json.is_base64_encoded = Some(matches!(response.body(), Body::Binary(_)));
    json.body = Some(response.body()).filter(|body| !matches!(body, Body::Empty));
    to_raw_value(&json)
}

/// Writes the status and headers of a streamed response, which all callers take in one format.
pub(super) fn prelude_json(
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = ResponseJson::new(status);
    json.set_single_values(headers);
    serde_json::to_vec(&json)
}

/// Returns a header's value as text: Lambda's response has texts only. A value that is no UTF-8 is
/// read as Latin-1.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    let bytes = value.as_bytes();
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
            // Control characters of Latin-1 are no part of a header.
            Cow::Owned(text.replace(char::is_control, " "))
        }
    }
}

/// Replaces the values that are no UTF-8 by their texts, as the JSON has them.
#[cfg(feature = "testing")]
pub(super) fn make_utf8(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        if let Cow::Owned(text) = text(value) {
            *value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
        }
    }
}

/// The members of a response in all formats.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseJson<'a> {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<SingleValues<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<Lists<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<Texts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_base64_encoded: Option<bool>,
}

impl<'a> ResponseJson<'a> {
    fn new(status: StatusCode) -> Self {
        Self {
            status_code: status.as_u16(),
            status_description: None,
            headers: None,
            multi_value_headers: None,
            cookies: None,
            body: None,
            is_base64_encoded: None,
        }
    }

    /// Sets the headers with one value per name, and the cookies in a list of their own.
    fn set_single_values(&mut self, headers: &'a HeaderMap) {
        self.headers = Some(SingleValues::WithoutCookies(headers));
        self.cookies = Some(Texts(headers.get_all(SET_COOKIE)));
    }
}

/// Headers with one value per name.
enum SingleValues<'a> {
    None,
    WithoutCookies(&'a HeaderMap),
    WithCookies(&'a HeaderMap),
}

impl Serialize for SingleValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Self::WithoutCookies(headers) | Self::WithCookies(headers) = self {
            for name in headers.keys().filter(|name| **name != SET_COOKIE) {
                map.serialize_entry(name.as_str(), &joined(headers.get_all(name)))?;
            }
        }
        if let Self::WithCookies(headers) = self {
            for (index, cookie) in headers.get_all(SET_COOKIE).iter().enumerate() {
                map.serialize_entry(&set_cookie_spelling(index), &text(cookie))?;
            }
        }
        map.end()
    }
}

/// Joins the values of a header, if they are several.
fn joined(values: GetAll<'_, HeaderValue>) -> Cow<'_, str> {
    let mut values = values.into_iter().map(text);
    let mut joined = values.next().unwrap_or_default();
    for value in values {
        let joined = joined.to_mut();
        joined.push_str(", ");
        joined.push_str(&value);
    }
    joined
}

/// Returns the name `set-cookie` in one of its 512 spellings of small and capital letters.
///
/// A load balancer with one value per name sends each spelling of a name as a header of its own, so that is how
/// several cookies are sent (Mangum does so, github.com/Kludex/mangum/pull/186, 2021-04).
fn set_cookie_spelling(index: usize) -> Cow<'static, str> {
    let name = "set-cookie";
    if index == 0 {
        return Cow::Borrowed(name);
    }
    let mut capitals = index;
    let spelled = name.chars().map(|letter| {
        if !letter.is_ascii_lowercase() {
            return letter;
        }
        let is_capital = capitals & 1 == 1;
        capitals >>= 1;
        match is_capital {
            true => letter.to_ascii_uppercase(),
            false => letter,
        }
    });
    Cow::Owned(spelled.collect())
}

/// Headers with a list of values per name.
struct Lists<'a>(&'a HeaderMap);

impl Serialize for Lists<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(headers) = self;
        let lists = headers
            .keys()
            .map(|name| (name.as_str(), Texts(headers.get_all(name))));
        serializer.collect_map(lists)
    }
}

/// A header's values.
struct Texts<'a>(GetAll<'a, HeaderValue>);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ONE_VALUE: EventFormat = EventFormat::LoadBalancer {
        is_multi_value: false,
    };
    const LISTS: EventFormat = EventFormat::LoadBalancer {
        is_multi_value: true,
    };

    fn response() -> Response<Body> {
        let latin_1 = |bytes| HeaderValue::from_bytes(bytes).unwrap();
        let builder = Response::builder()
            .status(404)
            .header("content-type", "text/plain")
            .header("vary", "origin")
            .header("link", "</a>; rel=preload")
            .header("vary", "accept")
            .header("x-place", latin_1(b"caf\xe9"))
            .header("x-place", "tea house")
            .header("x-control", latin_1(b"a\x85\xe9"))
            .header("x-utf-8", latin_1("gr\u{fc}n".as_bytes()))
            .header("set-cookie", "one=1; Path=/")
            .header("set-cookie", latin_1(b"two=\xe9"))
            .header("set-cookie", latin_1("three=\u{e9}".as_bytes()));
        builder.body(Body::from("hello")).unwrap()
    }

    fn written(format: EventFormat, response: &Response<Body>) -> Value {
        serde_json::from_str(response_json(format, response).unwrap().get()).unwrap()
    }

    fn joined() -> Value {
        json!({
            "content-type": "text/plain", "vary": "origin, accept", "link": "</a>; rel=preload",
            "x-place": "café, tea house", "x-control": "a é", "x-utf-8": "grün",
        })
    }

    fn cookies() -> Value {
        json!(["one=1; Path=/", "two=é", "three=é"])
    }

    fn lists() -> Value {
        json!({
            "content-type": ["text/plain"], "vary": ["origin", "accept"],
            "link": ["</a>; rel=preload"], "x-place": ["café", "tea house"], "x-control": ["a é"],
            "x-utf-8": ["grün"], "set-cookie": cookies(),
        })
    }

    #[test]
    fn response_to_api_gateway_has_lists_or_joined_values_by_its_version() {
        assert_eq!(
            written(EventFormat::ApiGatewayV1, &response()),
            json!({
                "statusCode": 404, "headers": {}, "multiValueHeaders": lists(),
                "body": "hello", "isBase64Encoded": false,
            })
        );
        assert_eq!(
            written(EventFormat::ApiGatewayV2, &response()),
            json!({
                "statusCode": 404, "headers": joined(), "cookies": cookies(),
                "body": "hello", "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn response_to_a_load_balancer_has_headers_of_its_events_kind_and_every_cookie() {
        let mut single = joined();
        single["set-cookie"] = json!("one=1; Path=/");
        single["Set-cookie"] = json!("two=é");
        single["sEt-cookie"] = json!("three=é");
        for (format, member, headers) in [
            (ONE_VALUE, "headers", single),
            (LISTS, "multiValueHeaders", lists()),
        ] {
            assert_eq!(
                written(format, &response()),
                json!({
                    "statusCode": 404, "statusDescription": "404 Not Found", (member): headers,
                    "body": "hello", "isBase64Encoded": false,
                })
            );
        }
    }

    #[test]
    fn spellings_of_a_cookies_name_are_512() {
        let spellings: std::collections::HashSet<_> = (0..512).map(set_cookie_spelling).collect();
        assert_eq!(spellings.len(), 512);
        let is_name = |name: &Cow<'_, str>| name.eq_ignore_ascii_case("set-cookie");
        assert!(spellings.iter().all(is_name));
    }

    #[test]
    fn body_is_text_or_base64_or_left_out() {
        for (body, expected) in [
            (Body::Binary(vec![0xff, 0]), json!(["/wA=", true])),
            (Body::from(""), json!(["", false])),
            (Body::Empty, json!([null, false])),
        ] {
            let json = written(EventFormat::ApiGatewayV1, &Response::new(body));
            assert_eq!(json!([json["body"], json["isBase64Encoded"]]), expected);
        }
        let empty = written(EventFormat::ApiGatewayV2, &Response::new(Body::Empty));
        assert_eq!(
            empty,
            json!({"statusCode": 200, "headers": {}, "cookies": [], "isBase64Encoded": false})
        );
    }

    #[test]
    fn status_without_a_name_is_described_by_its_number() {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::from_u16(799).unwrap();
        let json = written(ONE_VALUE, &response);
        assert_eq!(
            (&json["statusCode"], &json["statusDescription"]),
            (&json!(799), &json!("799"))
        );
    }

    #[test]
    fn prelude_of_a_streamed_response_has_joined_values_and_every_cookie() {
        let (head, _) = response().into_parts();
        let prelude = prelude_json(head.status, &head.headers).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&prelude).unwrap(),
            json!({"statusCode": 404, "headers": joined(), "cookies": cookies()})
        );
    }
}
