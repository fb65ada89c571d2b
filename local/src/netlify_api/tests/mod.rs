//! The stand-in over HTTP.

mod deploys;
mod variables;

use std::collections::HashMap;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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

/// Uploads bytes.
async fn put(netlify: &NetlifyApi, path: &str, body: &[u8]) -> Answer {
    let (token, length) = (netlify.token(), body.len());
    let head = format!(
        "PUT /api/v1{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
    );
    let answer = raw(netlify.url(), &[head.as_bytes(), body].concat()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).expect("a status");
    Answer {
        status: status.parse().expect("a status"),
        headers: HashMap::new(),
        body: body.to_owned(),
    }
}

/// Sends these bytes and reads until the connection is closed.
async fn raw(url: &str, request: &[u8]) -> String {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}
