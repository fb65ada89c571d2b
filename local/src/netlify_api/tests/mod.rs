//! The stand-in over HTTP.

mod variables;

use serde_json::Value;

use super::NetlifyApi;
use crate::api::test_client::{Answer, send};

/// A Netlify with the site `shop`.
async fn netlify() -> NetlifyApi {
    let netlify = NetlifyApi::start(0).await.expect("a free port");
    netlify.create_site("shop").expect("a site");
    netlify
}

async fn ask(netlify: &NetlifyApi, method: &str, path: &str, body: &Value) -> Answer {
    ask_as(netlify, netlify.token(), method, path, body).await
}

async fn ask_as(
    netlify: &NetlifyApi,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Answer {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let path = format!("/api/v1{path}");
    send(netlify.url(), method, &path, headers, &body)
        .await
        .expect("an answer")
}
