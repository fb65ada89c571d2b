use http::request::Builder;

use super::*;

fn request(method: &str, uri: &str) -> Builder {
    http::Request::builder().method(method).uri(uri)
}

async fn answer(request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    handle(request.with_raw_http_path(&path))
        .await
        .unwrap_or_else(|problem| problem.to_response().map(Body::from))
}

fn post(content_type: Option<&str>, body: &str) -> Request {
    let mut request = request("POST", "/api/guestbook");
    if let Some(content_type) = content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    request.body(Body::from(body)).unwrap()
}

fn detail(response: &Response<Body>) -> serde_json::Value {
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn other_method_gets_the_allowed_methods() {
    for method in ["PUT", "DELETE", "PATCH"] {
        let response = answer(request(method, "/api/guestbook").body(Body::Empty).unwrap()).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD, POST, OPTIONS");
    }
    let response = answer(
        request("OPTIONS", "/api/guestbook")
            .body(Body::Empty)
            .unwrap(),
    )
    .await;
    assert_eq!(response.status(), 204);
}

#[tokio::test]
async fn body_that_is_not_json_by_its_type_is_refused() {
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let response = answer(post(content_type, "{}")).await;
        assert_eq!(detail(&response)["status"], 415, "{content_type:?}");
    }
}

#[tokio::test]
async fn body_that_is_too_large_is_refused() {
    let body = format!("{{\"name\":\"{}\"}}", "x".repeat(BODY_BYTES));
    let response = answer(post(Some("application/json"), &body)).await;
    assert_eq!(detail(&response)["status"], 413);
}

#[tokio::test]
async fn body_that_does_not_parse_is_refused_with_the_place() {
    for body in ["", "{", "[]", "1", r#"{"name":1}"#] {
        let response = answer(post(Some("Application/JSON; charset=utf-8"), body)).await;
        let problem = detail(&response);
        assert_eq!(problem["status"], 400, "{body}");
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(detail.contains("line"), body.starts_with('{'), "{body}");
    }
}

#[tokio::test]
async fn missing_fields_are_named() {
    let response = answer(post(Some("application/json"), "{}")).await;
    let problem = detail(&response);
    assert_eq!(problem["status"], 400);
    assert_eq!(problem["errors"][0]["field"], "name");
    assert_eq!(problem["errors"][1]["field"], "message");
}

#[tokio::test]
async fn path_beneath_the_guestbook_is_not_found() {
    let response = answer(
        request("GET", "/api/guestbook/7")
            .body(Body::Empty)
            .unwrap(),
    )
    .await;
    assert_eq!(detail(&response)["status"], 404);
    assert!(is_guestbook("/api/guestbook/"));
    assert!(is_guestbook("/.netlify/functions/guestbook"));
}

#[test]
fn query_is_parsed_or_refused() {
    let parse = |query: &str| {
        let parameters: std::collections::HashMap<String, Vec<String>> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), vec![value.to_owned()]))
            .collect();
        let request = request("GET", "/api/guestbook").body(Body::Empty).unwrap();
        Query::parse(&request.with_query_string_parameters(parameters))
    };
    let query = |before, limit| Query { before, limit };
    assert_eq!(parse("").unwrap(), query(None, 20));
    assert_eq!(parse("cursor=7&limit=3").unwrap(), query(Some(7), 3));
    for wrong in [
        "cursor=x",
        "cursor=",
        "limit=0",
        "limit=101",
        "limit=ten",
        "limit=-1",
    ] {
        assert_eq!(parse(wrong).unwrap_err().status(), 400, "{wrong}");
    }
}

#[test]
fn migration_creates_the_idempotency_table() {
    let migration = include_str!("../../../../migrations/V2__idempotency.sql");
    assert_eq!(migration, stagelink::IDEMPOTENCY_TABLE);
}
