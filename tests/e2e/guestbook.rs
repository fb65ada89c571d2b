//! The guestbook over HTTP.

use serde_json::{Value, json};
use stagelink_tests::{Answer, send, site};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const TEXT: &[(&str, &str)] = &[("content-type", "text/plain")];
const NONE: &[(&str, &str)] = &[];

async fn sign(url: &str, name: &str, message: &str) -> Answer {
    let entry = json!({ "name": name, "message": message }).to_string();
    send("POST", &format!("{url}/api/guestbook"), JSON, &entry).await
}

async fn read(url: &str, query: &str) -> Value {
    let answer = send("GET", &format!("{url}/api/guestbook{query}"), &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

#[tokio::test]
async fn entry_is_stored_and_listed() {
    let (cloud, _record) = site().await;
    let url = cloud.stages()[0].url();
    let empty = json!({ "stage": "staging", "entries": [], "next": null });
    assert_eq!(read(url, "").await, empty);

    let answer = sign(url, " Ada ", "Hello, 'world'; -- 🎉\nsecond line").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let kept = answer.json();
    assert_eq!(kept["name"], "Ada");
    assert_eq!(kept["message"], "Hello, 'world'; -- 🎉\nsecond line");
    assert!(kept["id"].is_i64());
    let created = kept["created_at"].as_str().expect("a time");
    assert!(created.ends_with('Z') && created.contains('T'), "{created}");

    assert_eq!(read(url, "").await["entries"], json!([kept]));
    let direct = send(
        "GET",
        &format!("{url}/.netlify/functions/guestbook"),
        &[],
        "",
    )
    .await;
    assert_eq!(direct.json()["entries"], json!([kept]));
    cloud.stop().await;
}

#[tokio::test]
async fn pages_follow_one_another_newest_first() {
    let (cloud, _record) = site().await;
    let url = cloud.stages()[0].url();
    for number in 1..=5 {
        assert_eq!(sign(url, &format!("n{number}"), "m").await.status, 201);
    }
    let mut names = Vec::new();
    let mut query = "?limit=2".to_owned();
    let mut pages = 0;
    loop {
        let page = read(url, &query).await;
        pages += 1;
        for entry in page["entries"].as_array().expect("entries") {
            names.push(entry["name"].as_str().expect("a name").to_owned());
        }
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["n5", "n4", "n3", "n2", "n1"]);
    assert_eq!(pages, 3);
    cloud.stop().await;
}

#[tokio::test]
async fn wrong_request_gets_problem_details() {
    let (cloud, _record) = site().await;
    let url = format!("{}/api/guestbook", cloud.stages()[0].url());
    let long = json!({ "name": "x".repeat(20_000), "message": "m" }).to_string();
    let cases = [
        ("POST", "", JSON, "{\"name\":", 400),
        ("POST", "", JSON, "{\"name\":\"\",\"message\":\"m\"}", 400),
        ("GET", "?cursor=abc", NONE, "", 400),
        ("GET", "/7", NONE, "", 404),
        ("DELETE", "", NONE, "", 405),
        ("POST", "", JSON, &long, 413),
        ("POST", "", TEXT, "{}", 415),
    ];
    for (method, suffix, headers, body, status) in cases {
        let answer = send(method, &format!("{url}{suffix}"), headers, body).await;
        assert_eq!(answer.status, status, "{method} {suffix} {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        if status == 405 {
            assert!(answer.header("allow").contains("POST"));
        }
    }
    assert_eq!(
        read(cloud.stages()[0].url(), "").await["entries"],
        json!([])
    );
    cloud.stop().await;
}

#[tokio::test]
async fn concurrent_entries_are_all_stored() {
    let (cloud, _record) = site().await;
    let url = cloud.stages()[0].url().to_owned();
    let signing: Vec<_> = (0..8)
        .map(|number| {
            let url = url.clone();
            tokio::spawn(async move { sign(&url, &format!("n{number}"), "m").await.status })
        })
        .collect();
    for signed in signing {
        assert_eq!(signed.await.expect("a request"), 201);
    }
    assert_eq!(
        read(&url, "").await["entries"].as_array().map(Vec::len),
        Some(8)
    );
    cloud.stop().await;
}
