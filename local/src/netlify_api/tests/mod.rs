//! Tests of the local Netlify API over HTTP.

mod check_script;
mod deploys;
mod environment;
mod hosting;
mod limits;
mod publishing;
mod variables;

use std::io::{Cursor, Write as _};

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

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

/// Creates a deploy of the site `shop` with `body` and a page, which becomes ready. Returns its id.
async fn deploy(netlify: &NetlifyApi, body: Value, page: &str) -> String {
    let mut declared = json!({"functions": {}});
    declared["files"]["index.html"] = json!(hex::encode(Sha1::digest(page)));
    let uploads = [("files/index.html", page.as_bytes())];
    deploy_with(netlify, body, declared, &uploads).await
}

/// Creates a deploy of the site `shop` with `body`, declares and uploads. Returns its id.
async fn deploy_with(
    netlify: &NetlifyApi,
    body: Value,
    declared: Value,
    uploads: &[(&str, &[u8])],
) -> String {
    let created = request(netlify, "POST", "/sites/shop/deploys", &body).await;
    assert_eq!(created.status, 200, "{}", created.body);
    let id = created.json()["id"].as_str().expect("an id").to_owned();
    let path = format!("/sites/shop/deploys/{id}");
    let response = request(netlify, "PUT", &path, &declared).await;
    assert_eq!(response.status, 200, "{}", response.body);
    for (path, content) in uploads {
        let response = put(netlify, &format!("/deploys/{id}/{path}"), content).await;
        assert_eq!(response.status, 200, "{}", response.body);
    }
    id
}

/// Returns the archive of a program, and its digest.
fn archive(program: &str) -> (Vec<u8>, String) {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let started = zip.start_file("bootstrap", SimpleFileOptions::default());
    started.expect("a zip");
    zip.write_all(program.as_bytes()).expect("a zip");
    let zip = zip.finish().expect("a zip").into_inner();
    let digest = hex::encode(Sha256::digest(&zip));
    (zip, digest)
}
