//! Tests of the hosting, which follows the API while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::{archive, deploy, deploy_with, request, start};
use crate::api::test_client::{TestResponse, send};
use crate::lambda::tests::example;
use crate::netlify_api::{Hosting, NetlifyApi};
use crate::requests::RequestLog;

async fn get(hosting: &Hosting, host: &str, path: &str) -> TestResponse {
    let url = hosting.url("127.0.0.1");
    let response = send(&url, "GET", path, [("host", host)], "").await;
    response.expect("a response")
}

async fn page(hosting: &Hosting, host: &str) -> (u16, String) {
    let response = get(hosting, host, "/").await;
    (response.status, response.body)
}

/// Creates a deploy whose function `env` returns its environment.
async fn deploy_function(netlify: &NetlifyApi, body: Value, environment: Value) -> String {
    let program = example("echo_function");
    let (zip, digest) = archive(&format!("#!/bin/sh\nexec '{}'\n", program.display()));
    let declared = json!({"functions": {"env": digest}, "environment": environment});
    let upload = [("functions/env?runtime=rs", zip.as_slice())];
    deploy_with(netlify, body, declared, &upload).await
}

#[tokio::test]
async fn deploys_that_become_ready_later_are_served_and_deleted_ones_are_gone() {
    let netlify = start().await;
    let hosting = netlify.host(|_| ()).await.expect("a hosting");
    assert_eq!(page(&hosting, "shop.localhost").await.0, 404);
    let found = async |host: &str, expected: &str| {
        assert_eq!(
            page(&hosting, host).await,
            (200, expected.to_owned()),
            "{host}"
        );
    };
    let first = deploy(&netlify, json!({}), "first").await;
    found("shop.localhost", "first").await;
    let older = deploy(&netlify, json!({"branch": "staging"}), "older").await;
    found("staging--shop.localhost", "older").await;
    deploy(&netlify, json!({"branch": "staging"}), "newer").await;
    found("staging--shop.localhost", "newer").await;
    assert!(netlify.set_lock(&first, true));
    let second = deploy(&netlify, json!({}), "second").await;
    found("shop.localhost", "first").await;
    found(&format!("{second}--shop.localhost"), "second").await;
    found(&format!("{older}--shop.localhost"), "older").await;

    assert!(netlify.remove_deploy(&older));
    let gone = page(&hosting, &format!("{older}--shop.localhost")).await;
    assert_eq!(gone.0, 404);
    assert!(
        gone.1.contains("staging--shop.localhost") && !gone.1.contains(&format!("//{older}")),
        "{}",
        gone.1
    );
    hosting.stop().await;
}

#[tokio::test]
async fn visitors_that_are_held_get_what_is_published_when_they_are_released() {
    let netlify = start().await;
    let hosting = netlify.host(|_| ()).await.expect("a hosting");
    let first = deploy(&netlify, json!({}), "first").await;
    netlify.set_holds_visitors(true);
    let own = page(&hosting, &format!("{first}--shop.localhost")).await;
    assert_eq!(own, (200, "first".to_owned()));
    let visit = page(&hosting, "shop.localhost");
    let visited = tokio::time::timeout(Duration::from_millis(200), visit).await;
    visited.expect_err("it is held");
    let release = async {
        deploy(&netlify, json!({}), "second").await;
        netlify.set_holds_visitors(false);
    };
    let (visited, ()) = tokio::join!(page(&hosting, "shop.localhost"), release);
    assert_eq!(visited, (200, "second".to_owned()));
    hosting.stop().await;
}

#[tokio::test]
async fn urls_lead_to_the_hosting_while_it_runs() {
    let netlify = start().await;
    let id = deploy(&netlify, json!({}), "page").await;
    let urls = async || {
        let path = format!("/deploys/{id}");
        let json = request(&netlify, "GET", &path, &Value::Null).await.json();
        let site = request(&netlify, "GET", "/sites/shop", &Value::Null)
            .await
            .json();
        let text = |json: &Value| json.as_str().expect("a url").to_owned();
        [
            text(&json["links"]["permalink"]),
            text(&json["deploy_ssl_url"]),
            text(&site["ssl_url"]),
        ]
    };
    let at_netlify = [
        format!("https://{id}--shop.netlify.app"),
        "https://shop.netlify.app".to_owned(),
        "https://shop.netlify.app".to_owned(),
    ];
    assert_eq!(urls().await, at_netlify);
    let hosting = netlify.host(|_| ()).await.expect("a hosting");
    let hosts = [
        format!("{id}--shop.localhost"),
        "shop.localhost".into(),
        "shop.localhost".into(),
    ];
    assert_eq!(urls().await, hosts.map(|host| hosting.url(&host)));
    hosting.stop().await;
    assert_eq!(urls().await, at_netlify);
}

#[tokio::test]
async fn functions_get_the_environment_of_their_deploy() {
    let netlify = start().await;
    let hosting = netlify.host(|_| ()).await.expect("a hosting");
    let own = |value: &str| json!([{"key": "A", "value": value, "is_secret": true, "scopes": ["functions"]}]);
    let first = deploy_function(&netlify, json!({}), own("first")).await;
    let second = deploy_function(&netlify, json!({}), own("second")).await;
    for (host, value) in [
        (format!("{first}--shop.localhost"), "first"),
        (format!("{second}--shop.localhost"), "second"),
        ("shop.localhost".to_owned(), "second"),
    ] {
        let response = get(&hosting, &host, "/.netlify/functions/env").await;
        assert_eq!(response.status, 200, "{}", response.body);
        let report: Value = serde_json::from_str(&response.body).expect("JSON");
        assert_eq!(report["env"]["A"], value, "{report}");
    }
    hosting.stop().await;
}

#[tokio::test]
async fn requests_to_deploys_are_recorded_with_the_stage_and_the_deploy() {
    let netlify = start().await;
    let requests = RequestLog::default();
    let hosting = netlify.host_with_requests(&requests, |_| ()).await;
    let hosting = hosting.expect("a hosting");
    let stage = json!([{"key": "STAGELINK_STAGE", "value": "qa", "is_secret": false, "scopes": ["functions"]}]);
    let of_stage = deploy_function(&netlify, json!({}), stage).await;
    let without = deploy_function(&netlify, json!({"branch": "try"}), json!([])).await;
    for host in ["shop.localhost", "try--shop.localhost"] {
        let response = get(&hosting, host, "/.netlify/functions/env?token=canary").await;
        assert_eq!(response.status, 200, "{}", response.body);
    }
    // A record is finished a moment after the function has asked for its next event.
    let mut records = requests.records();
    while records.len() < 2 {
        tokio::task::yield_now().await;
        records = requests.records();
    }
    hosting.stop().await;
    let seen: Vec<_> = records
        .iter()
        .map(|of| {
            (
                of.stage.as_str(),
                of.deploy.as_deref(),
                of.function.as_deref(),
            )
        })
        .collect();
    let context = "branch:try";
    let expected = [
        ("qa", Some(of_stage.as_str()), Some("env")),
        (context, Some(without.as_str()), Some("env")),
    ];
    assert_eq!(seen, expected);
    assert!(
        records
            .iter()
            .all(|of| of.path == "/.netlify/functions/env")
    );
    assert_eq!(records[0].to_json()["deploy"], json!(of_stage));
}

/// Every request is answered by one of the two deploys while they take turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_under_load_fails_no_request() {
    let netlify = start().await;
    let first = deploy(&netlify, json!({}), "first").await;
    let second = deploy(&netlify, json!({}), "second").await;
    let hosting = Arc::new(netlify.host(|_| ()).await.expect("a hosting"));
    let ends = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (hosting, ends) = (Arc::clone(&hosting), Arc::clone(&ends));
            tokio::spawn(async move {
                let mut count = 0;
                while !ends.load(Ordering::Relaxed) {
                    let (status, body) = page(&hosting, "shop.localhost").await;
                    assert!(
                        status == 200 && ["first", "second"].contains(&body.as_str()),
                        "{body}"
                    );
                    count += 1;
                }
                count
            })
        })
        .collect();
    for _ in 0..20 {
        for (id, text) in [(&first, "first"), (&second, "second")] {
            let path = format!("/sites/shop/deploys/{id}/restore");
            let restored = request(&netlify, "POST", &path, &Value::Null).await;
            assert_eq!(restored.status, 201, "{}", restored.body);
            assert_eq!(page(&hosting, "shop.localhost").await.1, text);
        }
    }
    ends.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.expect("no failed request") > 0);
    }
}

#[tokio::test]
async fn later_deploy_that_cannot_be_served_says_why() {
    let netlify = start().await;
    let hosting = netlify.host(|_| ()).await.expect("a hosting");
    let (zip, digest) = archive("program");
    let declared = json!({"functions": {"f": digest}});
    let upload = [("functions/f?runtime=js", zip.as_slice())];
    deploy_with(&netlify, json!({}), declared, &upload).await;
    let (status, text) = page(&hosting, "shop.localhost").await;
    assert_eq!(status, 502);
    assert!(text.contains("its runtime is js"), "{text}");
    hosting.stop().await;
}

#[tokio::test]
async fn protected_site_asks_for_a_password_at_each_address() {
    let netlify = start().await;
    netlify.create_site("open").expect("a site");
    let id = deploy_function(&netlify, json!({}), json!([])).await;
    let hosting = netlify.host(|_| ()).await.expect("a hosting");
    netlify
        .set_site_protection("shop", true)
        .expect("a protection");
    for (host, path) in [
        ("shop.localhost", "/"),
        (&format!("{id}--shop.localhost"), "/.netlify/functions/env"),
        ("other--shop.localhost", "/"),
    ] {
        let response = get(&hosting, host, path).await;
        assert_eq!(response.status, 401, "{host}");
        assert_eq!(response.headers["content-type"], "text/html; charset=utf-8");
        assert!(
            response.body.contains("type=\"password\""),
            "{}",
            response.body
        );
    }
    assert_eq!(page(&hosting, "open.localhost").await.0, 404);
    netlify
        .set_site_protection("shop", false)
        .expect("no protection");
    let response = get(&hosting, "shop.localhost", "/.netlify/functions/env").await;
    assert_eq!(response.status, 200);
    assert!(netlify.set_site_protection("none", true).is_err());
    hosting.stop().await;
}
