//! The functions in cargo-lambda's emulator, called by its own command and over its URL.

use serde_json::{Value, json};
use stagelink_tests::{HerokuFixture, functions, migrate, send, server};

use crate::events::Caller;
use crate::watch::Watch;

#[tokio::test]
async fn guestbook_answers_every_kind_of_caller() {
    // Their common dependencies are compiled by now, so the emulator's first request waits less.
    functions().await;
    let fixture = HerokuFixture::new().await;
    migrate(&fixture.variables).await;
    let watch = Watch::start("guestbook", &fixture.variables).await;

    let mut names = Vec::new();
    for caller in Caller::ALL {
        let name = format!("{caller:?}");
        let entry = json!({ "name": name, "message": "Grüße" }).to_string();
        let answer = watch
            .invoke(&caller.event("POST", "/api/guestbook", &entry))
            .await;
        assert_eq!(answer["statusCode"], 201, "{caller:?}: {answer}");
        names.insert(0, Value::from(name));
        let answer = watch
            .invoke(&caller.event("GET", "/api/guestbook", ""))
            .await;
        assert_eq!(answer["statusCode"], 200, "{caller:?}: {answer}");
        let body = answer["body"].as_str().expect("a body");
        assert_eq!(listed(&serde_json::from_str(body).expect("JSON")), names);
    }

    let answer = send("GET", &watch.url("/api/guestbook?limit=2"), &[], "").await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), watch.log());
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json()["stage"], "staging");
    assert_eq!(listed(&answer.json()), names[..2]);

    // Read from the database directly, without the function.
    let db = server()
        .await
        .connect_as_superuser_to(&fixture.database)
        .await;
    let db = db.expect("the database can be reached");
    let rows = db
        .query("SELECT name FROM guestbook ORDER BY id DESC", &[])
        .await
        .expect("the entries");
    let kept: Vec<_> = rows
        .iter()
        .map(|row| Value::from(row.get::<_, String>(0)))
        .collect();
    assert_eq!(kept, names);
    watch.end().await;
}

fn listed(page: &Value) -> Vec<Value> {
    let entries = page["entries"].as_array().expect("entries");
    entries.iter().map(|entry| entry["name"].clone()).collect()
}

#[tokio::test]
async fn health_reports_the_stage_over_its_url() {
    functions().await;
    let fixture = HerokuFixture::new().await;
    let watch = Watch::start("health", &fixture.variables).await;
    let answer = send("GET", &watch.url("/api/health"), &[], "").await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), watch.log());
    assert_eq!(answer.json()["stage"], "staging");
    assert_eq!(answer.json()["database"]["reachable"], true);
    watch.end().await;
}
