//! Tests of deploys, from the first request to the served site.

use std::io::{Cursor, Write as _};

use bytes::Bytes;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{put, request, start};
use crate::api::test_client::send;
use crate::netlify_api::{Context, DeployState, EnvVar, NetlifyApi};

const PAGE: &str = "<p>shop</p>";
const TOML: &str = "[build]\npublish = \"public\"\n";

/// Declares the files of a deploy and uploads those that are required. Returns the response to the
/// declaration.
async fn upload(netlify: &NetlifyApi, id: &str) -> Value {
    let body = json!({
        "files": {
            "/index.html": hex::encode(Sha1::digest(PAGE)),
            "netlify.toml": hex::encode(Sha1::digest(TOML)),
        },
        "functions": {},
    });
    let path = format!("/sites/shop/deploys/{id}");
    let declared = request(netlify, "PUT", &path, &body).await.json();
    for (path, content) in [("index.html", PAGE), ("netlify.toml", TOML)] {
        let digest = json!(hex::encode(Sha1::digest(content)));
        let required = declared["required"].as_array().expect("a list");
        if required.contains(&digest) {
            let path = format!("/deploys/{id}/files/{path}");
            let response = put(netlify, &path, content.as_bytes()).await;
            assert_eq!(response.status, 200, "{}", response.body);
        }
    }
    declared
}

async fn create(netlify: &NetlifyApi, body: Value) -> String {
    let response = request(netlify, "POST", "/sites/shop/deploys?title=t", &body).await;
    assert_eq!(response.status, 200, "{}", response.body);
    response.json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn complete_deploy_is_ready_and_stored_files_are_not_required_again() {
    let netlify = start().await;
    let id = create(&netlify, json!({"draft": true})).await;
    let state = async || {
        let path = format!("/sites/shop/deploys/{id}");
        request(&netlify, "GET", &path, &Value::Null).await.json()["state"].take()
    };
    assert_eq!(state().await, "new");
    let declared = upload(&netlify, &id).await;
    assert_eq!(declared["required"].as_array().map(Vec::len), Some(2));
    assert_eq!(state().await, "ready");

    let again = create(&netlify, json!({"draft": false, "branch": "staging"})).await;
    let declared = upload(&netlify, &again).await;
    assert_eq!(
        (&declared["required"], &declared["state"]),
        (&json!([]), &json!("ready"))
    );
    let production = create(&netlify, json!({})).await;
    upload(&netlify, &production).await;
    let deploys = netlify.deploys();
    let contexts: Vec<_> = deploys.iter().map(|deploy| &deploy.context).collect();
    let staging = Context::Branch("staging".to_owned());
    assert_eq!(
        contexts,
        [&Context::DeployPreview, &staging, &Context::Production]
    );
    assert_eq!(deploys[0].files["index.html"], PAGE);
    assert_eq!(deploys[0].title.as_deref(), Some("t"));

    let hosting = netlify
        .host(|_| ())
        .await
        .expect("the deploys can be served");
    for host in [
        format!("{id}--shop.localhost"),
        "staging--shop.localhost".into(),
        "shop.localhost".into(),
    ] {
        let url = hosting.url("127.0.0.1");
        let response = send(&url, "GET", "/", [("host", host.as_str())], "").await;
        assert_eq!(response.expect("a response").body, PAGE, "{host}");
    }
    hosting.stop().await;
}

#[tokio::test]
async fn undeclared_upload_is_refused() {
    let netlify = start().await;
    let id = create(&netlify, json!({"draft": true})).await;
    let body = json!({"files": {"a": hex::encode(Sha1::digest("a"))}, "functions": {"f": "0"}});
    let path = format!("/sites/shop/deploys/{id}");
    assert_eq!(request(&netlify, "PUT", &path, &body).await.status, 200);
    for (path, status) in [
        ("files/a", 422),
        ("files/b", 404),
        ("functions/f?runtime=rs", 422),
        ("functions/g", 404),
    ] {
        let response = put(&netlify, &format!("/deploys/{id}/{path}"), b"other").await;
        assert_eq!(response.status, status, "{path}");
    }
    let cancel = format!("/deploys/{id}/cancel");
    assert_eq!(
        request(&netlify, "POST", &cancel, &Value::Null)
            .await
            .json()["state"],
        "error"
    );
    let late = put(&netlify, &format!("/deploys/{id}/files/a"), b"a").await;
    assert_eq!(late.status, 422);
    assert_eq!(netlify.deploys()[0].state, DeployState::Cancelled);
}

#[tokio::test]
async fn environment_of_a_deploy_is_fixed_when_it_becomes_ready() {
    let netlify = start().await;
    let set = |value: &str| {
        let variable = EnvVar::new("A").value(Context::Production, value);
        netlify.set_variable("shop", variable).expect("a variable");
    };
    set("before");
    let id = create(&netlify, json!({})).await;
    upload(&netlify, &id).await;
    set("after");
    let account = netlify.state.account();
    let environment = &account.deploys[0].environment;
    assert_eq!(environment["A"], "before");
    assert_eq!(environment["SITE_NAME"], "shop");
}

#[tokio::test]
async fn function_that_is_not_a_rust_program_is_not_hosted() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("index.js", SimpleFileOptions::default())
        .expect("a zip");
    zip.write_all(b"{}").expect("a zip");
    let zip = Bytes::from(zip.finish().expect("a zip").into_inner());
    for (runtime, word) in [("js", "its runtime is js"), ("rs", "no bootstrap")] {
        let netlify = start().await;
        let id = create(&netlify, json!({})).await;
        let files = json!({"netlify.toml": hex::encode(Sha1::digest(TOML))});
        let functions = json!({"f": hex::encode(Sha256::digest(&zip))});
        let body = json!({"files": files, "functions": functions});
        request(&netlify, "PUT", &format!("/sites/shop/deploys/{id}"), &body).await;
        put(
            &netlify,
            &format!("/deploys/{id}/files/netlify.toml"),
            TOML.as_bytes(),
        )
        .await;
        let path = format!("/deploys/{id}/functions/f?runtime={runtime}");
        let response = put(&netlify, &path, &zip).await;
        assert_eq!(response.status, 200, "{}", response.body);
        let error = netlify.host(|_| ()).await.expect_err("an error");
        assert!(error.to_string().contains(word), "{error}");
        let unpacked = netlify.deploys()[0].functions["f"].unpack().expect("a zip");
        assert_eq!(unpacked["index.js"], b"{}");
    }
}
