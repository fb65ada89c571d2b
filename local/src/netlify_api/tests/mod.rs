//! Tests of the local Netlify API over HTTP.

mod deploys;
mod variables;

use serde_json::Value;

use super::NetlifyApi;
use crate::api::test_client::{TestResponse, send};

/// Starts a Netlify API with the site `shop`.
async fn start() -> NetlifyApi {
    let netlify = NetlifyApi::start(0).await.expect("a free port");
    netlify.create_site("shop").expect("a site");
    netlify
}

async fn request(netlify: &NetlifyApi, method: &str, path: &str, body: &Value) -> TestResponse {
    request_as(netlify, netlify.token(), method, path, body).await
}

async fn request_as(
    netlify: &NetlifyApi,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> TestResponse {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let path = format!("/api/v1{path}");
    send(netlify.url(), method, &path, headers, body)
        .await
        .expect("a response")
}

/// Uploads a file or function.
async fn put(netlify: &NetlifyApi, path: &str, content: &[u8]) -> TestResponse {
    let authorization = format!("Bearer {}", netlify.token());
    let headers = [("authorization", authorization.as_str())];
    let path = format!("/api/v1{path}");
    send(netlify.url(), "PUT", &path, headers, content.to_vec())
        .await
        .expect("a response")
}
