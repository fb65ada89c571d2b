//! A function that tells what it was asked: to see what a platform makes of a request.
//!
//! Every answer sets two cookies. A path that ends in `/bytes` gives the request's body back
//! as it came, and one that ends in `/latin-1` a header that is no UTF-8.

use std::convert::Infallible;

use http::header::{CONTENT_TYPE, HeaderValue, SET_COOKIE};
use lambda_http::{Body, Request, RequestExt as _, Response};
use serde_json::{Map, Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    stagelink::run(answer).await
}

async fn answer(request: Request) -> Result<Response<Body>, Infallible> {
    let mut response = if request.uri().path().ends_with("/bytes") {
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
    if request.uri().path().ends_with("/latin-1") {
        let place = HeaderValue::from_bytes(b"caf\xe9").expect("a header's value");
        response.headers_mut().insert("x-place", place);
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
