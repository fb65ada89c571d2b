//! A function that the Netlify CLI builds and serves in tests. The end of the path selects its
//! response: `/names` returns the names in the guestbook, `/bytes` returns the request's body
//! unchanged, and any other path returns the request as the function saw it. Every response sets
//! two cookies.

use http::header::{CONTENT_TYPE, SET_COOKIE};
use lambda_http::{Body, Request, RequestExt as _, Response};
use serde_json::{Value, json};
use stagelink::Database;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    stagelink::run(answer).await
}

async fn answer(request: Request) -> Result<Response<Body>, stagelink::Error> {
    let path = request.uri().path();
    let (kind, body) = if path.ends_with("/bytes") {
        let body = Body::from(request.body().to_vec());
        ("application/octet-stream", body)
    } else if path.ends_with("/names") {
        (
            "application/json",
            names(&request).await?.to_string().into(),
        )
    } else {
        ("application/json", report(&request).to_string().into())
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind.parse().expect("a media type"));
    for cookie in ["one=1; Path=/", "two=2; Path=/"] {
        headers.append(SET_COOKIE, cookie.parse().expect("a cookie"));
    }
    Ok(response)
}

async fn names(request: &Request) -> Result<Value, stagelink::Error> {
    let stage = Database::from_request(request).stage()?;
    let db = stagelink::client(request).await?;
    let rows = db.query("SELECT name FROM guestbook ORDER BY id", &[]);
    let names: Vec<String> = rows.await?.iter().map(|row| row.get(0)).collect();
    Ok(json!({ "stage": stage.as_str(), "names": names }))
}

fn report(request: &Request) -> Value {
    let parameters = request.query_string_parameters();
    let query: Vec<_> = parameters.iter().collect();
    json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "query": query,
        "account": request.headers().get("x-nf-account-id").and_then(|id| id.to_str().ok()),
        "cookie": request.headers().get("cookie").and_then(|value| value.to_str().ok()),
        "body": String::from_utf8_lossy(request.body()),
        "bytes": request.body().len(),
    })
}
