//! A function that tells what it was asked: to see what a platform makes of a request.
//!
//! Every answer sets two cookies. A path that ends in `/bytes` gives the request's body back
//! as it came, one that ends in `/latin-1` a header and a cookie that are no UTF-8, one that ends
//! in `/repeated` two headers of several values, and one that ends in `/status/304` this status
//! without a body.

use std::convert::Infallible;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, SET_COOKIE};
use lambda_http::{Body, Request, RequestExt as _, Response};
use serde_json::{Map, Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    stagelink::run(answer).await
}

async fn answer(request: Request) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let status = path.split_once("/status/");
    let status = status.and_then(|(_, status)| status.parse::<StatusCode>().ok());
    let mut response = if let Some(status) = status {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = status;
        response
    } else if path.ends_with("/bytes") {
        let mut response = Response::new(Body::from(request.body().to_vec()));
        let kind = "application/octet-stream".parse().expect("a media type");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    } else {
        let mut response = Response::new(Body::from(told(&request).to_string()));
        let kind = "application/json".parse().expect("a media type");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    };
    if path.ends_with("/latin-1") {
        let latin_1 = |bytes| HeaderValue::from_bytes(bytes).expect("a header's value");
        response
            .headers_mut()
            .insert("x-place", latin_1(b"caf\xe9"));
        let cookie = latin_1(b"place=caf\xe9");
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    if path.ends_with("/repeated") {
        for (name, value) in [
            ("vary", "origin"),
            ("link", "</a.css>; rel=preload"),
            ("vary", "accept"),
            ("link", "</b.css>; rel=preload"),
        ] {
            response
                .headers_mut()
                .append(name, HeaderValue::from_static(value));
        }
    }
    for cookie in ["one=1; Path=/", "two=2; Path=/"] {
        let cookie = cookie.parse().expect("a cookie");
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

fn told(request: &Request) -> Value {
    let parameters = request.query_string_parameters();
    let query: Vec<_> = parameters.iter().collect();
    let mut headers = Map::new();
    for name in request.headers().keys() {
        let values = request.headers().get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        headers.insert(name.to_string(), json!(values));
    }
    json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "uri": request.uri().to_string(),
        "query": query,
        "headers": headers,
        "body": String::from_utf8_lossy(request.body()),
    })
}
