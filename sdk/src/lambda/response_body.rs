//! The response of a handler with Lambda's type of a body: text, or bytes that travel as base64.

use std::any::Any;
use std::future::{Future, ready};
use std::pin::Pin;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Response};
use lambda_http::{Body, IntoResponse};

/// Converts a handler's response.
///
/// `lambda_http` converts by the tables of all character sets, 0.13 MB of a zip, which the linker
/// leaves out where each response is one of the two types that are converted here.
pub(super) fn convert<R>(response: R) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>>
where
    R: IntoResponse + 'static,
{
    let mut response = Some(response);
    if let Some(own) = taken::<Response<Body>>(&mut response) {
        return Box::pin(ready(own_body(own)));
    }
    #[cfg(feature = "axum")]
    if let Some(axum) = taken::<Response<axum::body::Body>>(&mut response) {
        return Box::pin(axum_body(axum));
    }
    response.expect("it was not taken").into_response()
}

/// Takes a response that is of the type `T`.
fn taken<T: 'static>(response: &mut (impl Any + 'static)) -> Option<T> {
    let response: &mut dyn Any = response;
    response.downcast_mut::<Option<T>>()?.take()
}

fn own_body(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let body = match (is_text(&parts.headers), body) {
        (true, Body::Text(text)) => Body::Text(text),
        (true, body) => text_or_binary(body.to_vec()),
        (false, body) => Body::Binary(body.to_vec()),
    };
    Response::from_parts(parts, body)
}

#[cfg(feature = "axum")]
async fn axum_body(response: Response<axum::body::Body>) -> Response<Body> {
    use http_body_util::BodyExt as _;

    let (parts, body) = response.into_parts();
    // A body that fails ends the invocation as a panic of the handler does.
    let whole = body.collect().await.expect("the body can be read");
    let bytes = whole.to_bytes().to_vec();
    let body = match is_text(&parts.headers) {
        true => text_or_binary(bytes),
        false => Body::Binary(bytes),
    };
    Response::from_parts(parts, body)
}

/// Text that is not UTF-8 reaches the client byte by byte all the same.
fn text_or_binary(bytes: Vec<u8>) -> Body {
    match String::from_utf8(bytes) {
        Ok(text) => Body::Text(text),
        Err(error) => Body::Binary(error.into_bytes()),
    }
}

/// Returns whether the headers announce text in UTF-8, by the rules of `lambda_http`. In another
/// character set the client needs the bytes as they are: Lambda's text is UTF-8.
fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let kind = kind.to_str().unwrap_or_default();
    let mut parts = kind.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let marked = headers.get("x-lambda-http-content-encoding");
    let is_text = TEXT_PREFIXES.iter().any(|text| kind.starts_with(text))
        || TEXT_SUFFIXES.iter().any(|text| essence.ends_with(text))
        || marked.is_some_and(|value| value == "text");
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"'))
    });
    let is_utf_8 = charset.is_none_or(|charset| {
        let mut unicode = ["utf-8", "utf8", "us-ascii"].iter();
        unicode.any(|name| charset.eq_ignore_ascii_case(name))
    });
    is_text && is_utf_8
}

const TEXT_PREFIXES: [&str; 5] = [
    "text",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/yaml",
];

const TEXT_SUFFIXES: [&str; 3] = ["+xml", "+yaml", "+json"];

#[cfg(test)]
mod tests {
    use super::*;

    /// Converts a body of these bytes with these headers, in each type that is converted here.
    async fn converted(headers: &[(&str, &str)], bytes: &[u8]) -> Body {
        let response = || {
            let builder = Response::builder();
            (headers.iter()).fold(builder, |builder, (name, value)| {
                builder.header(*name, *value)
            })
        };
        let own = convert(response().body(Body::from(bytes.to_vec())).unwrap()).await;
        #[cfg(feature = "axum")]
        {
            let body = axum::body::Body::from(bytes.to_vec());
            let of_axum = convert(response().body(body).unwrap()).await;
            assert_eq!(of_axum.body(), own.body());
            assert_eq!(of_axum.headers(), own.headers());
        }
        own.into_body()
    }

    /// Converts by `lambda_http`: the response has another type of a body, so that
    /// `convert` leaves it alone.
    async fn by_lambda_http(headers: &[(&str, &str)], bytes: &[u8]) -> Body {
        let builder = Response::builder();
        let builder = (headers.iter()).fold(builder, |builder, (name, value)| {
            builder.header(*name, *value)
        });
        let body = http_body_util::Full::new(bytes::Bytes::copy_from_slice(bytes));
        convert(builder.body(body).unwrap()).await.into_body()
    }

    #[tokio::test]
    async fn text_in_utf_8_and_bytes_are_converted_as_lambda_http_does() {
        let kinds = [
            None,
            Some("text/plain"),
            Some("text/html; charset=utf-8"),
            Some("text/html; charset=\"UTF-8\""),
            Some("application/json"),
            Some("application/problem+json; charset=utf-8"),
            Some("image/svg+xml"),
            Some("image/png"),
            Some("application/octet-stream"),
            Some(""),
        ];
        let more: [&[(&str, &str)]; 3] = [
            &[],
            &[("content-encoding", "gzip")],
            &[("x-lambda-http-content-encoding", "text")],
        ];
        for kind in kinds {
            for more in more {
                for bytes in [&b""[..], "grüß".as_bytes()] {
                    let kind = kind.map(|kind| ("content-type", kind));
                    let headers: Vec<_> = kind.iter().chain(more).copied().collect();
                    let theirs = by_lambda_http(&headers, bytes).await;
                    assert_eq!(converted(&headers, bytes).await, theirs, "{headers:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn text_that_is_not_utf_8_keeps_its_bytes() {
        for (kind, bytes) in [
            ("text/plain; charset=utf-16le", &b"h\0i\0"[..]),
            ("text/plain; charset=iso-8859-1", b"gr\xfc\xdf"),
            ("text/plain", b"gr\xfc\xdf"),
            ("text/plain", b"\xff\xfeh\0"),
        ] {
            let body = converted(&[("content-type", kind)], bytes).await;
            assert_eq!(body, Body::Binary(bytes.to_vec()), "{kind}");
        }
    }

    #[tokio::test]
    async fn text_stays_the_same_text() {
        let response = Response::new(Body::Text("hello".to_owned()));
        assert_eq!(*convert(response).await.body(), Body::from("hello"));
        let empty = convert(Response::new(Body::Empty)).await;
        assert_eq!(*empty.body(), Body::from(""));
        assert_eq!(*convert("hello").await.body(), Body::from("hello"));
    }
}
