//! Tests of the limits per minute.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{request, request_as, start};

#[tokio::test]
async fn requests_beyond_the_limit_of_a_token_are_refused_and_counted_in_headers() {
    let netlify = start().await;
    let read = async |token: &str| {
        let response = request_as(&netlify, token, "GET", "/sites/shop", &Value::Null).await;
        let header = |name: &str| response.headers.get(name).cloned();
        let number = |name: &str| header(name).and_then(|text| text.parse::<i64>().ok());
        let [limit, remaining, reset] =
            ["limit", "remaining", "reset"].map(|name| number(&format!("x-ratelimit-{name}")));
        let ahead = reset.map(|reset| reset - Timestamp::now().as_second());
        assert!(ahead.is_none_or(|seconds| seconds <= 60), "{ahead:?}");
        (response.status, limit, remaining)
    };
    let token = netlify.token().to_owned();
    assert_eq!(read(&token).await, (200, Some(500), Some(499)));
    netlify.set_request_limit(2);
    assert_eq!(read(&token).await, (200, Some(2), Some(1)));
    assert_eq!(read(&token).await, (200, Some(2), Some(0)));
    assert_eq!(read(&token).await, (429, Some(2), Some(0)));
    let other = netlify.create_token();
    assert_eq!(read(&other).await, (200, Some(2), Some(1)));
    assert_eq!(read("invalid").await, (401, None, None));
}

#[tokio::test]
async fn deploys_beyond_their_limit_are_not_created() {
    let netlify = start().await;
    netlify.set_deploy_limit(Some(2));
    for status in [200, 200, 429] {
        let response = request(&netlify, "POST", "/sites/shop/deploys", &json!({})).await;
        assert_eq!(response.status, status, "{}", response.body);
    }
    assert_eq!(netlify.deploys().len(), 2);
    netlify.set_deploy_limit(None);
    let response = request(&netlify, "POST", "/sites/shop/deploys", &json!({})).await;
    assert_eq!(response.status, 200);
}
