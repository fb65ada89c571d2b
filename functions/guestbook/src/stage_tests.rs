//! Tests of the guestbook as a function, each with a stage of its own.

use serde_json::{Value, json};
use stagelink_test::{TestFunction, TestStage};

use crate::handler::handle;

const PATH: &str = "/api/guestbook";

async fn leave(guestbook: &TestFunction, message: &str) -> Value {
    let entry = json!({ "name": "Ada", "message": message });
    let response = guestbook.post(PATH).json(&entry).await;
    assert_eq!(response.status(), 201);
    response.json()
}

fn messages(listing: &Value) -> Vec<&str> {
    let entries = listing["entries"].as_array().expect("entries");
    let messages = entries.iter().map(|entry| entry["message"].as_str());
    messages.map(|message| message.expect("a text")).collect()
}

#[stagelink_test::test(stage = "staging")]
async fn entries_are_listed_by_pages_newest_first(stage: TestStage) {
    let guestbook = stage.function(handle);
    for message in ["one", "two", "three"] {
        leave(&guestbook, message).await;
    }
    let first: Value = guestbook.get("/api/guestbook?limit=2").await.json();
    assert_eq!(first["stage"], "staging");
    assert_eq!(messages(&first), ["three", "two"]);
    let next = first["next"].as_str().expect("there is another page");
    let target = format!("/api/guestbook?limit=2&cursor={next}");
    let second: Value = guestbook.get(&target).await.json();
    assert_eq!(messages(&second), ["one"]);
    assert_eq!(second["next"], Value::Null);
}

#[stagelink_test::test]
async fn head_has_the_headers_of_get_and_no_body(stage: TestStage) {
    let guestbook = stage.function(handle);
    let response = guestbook.request(http::Method::HEAD, PATH).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.body().is_empty());
}

#[stagelink_test::test]
async fn entry_with_a_key_is_kept_once_though_its_answer_was_lost(stage: TestStage) {
    let guestbook = stage.function(handle);
    leave(&guestbook, "before").await;
    let entry = json!({ "name": "Ada", "message": "hello" });
    let post = || {
        let post = guestbook.post(PATH).header("idempotency-key", "7");
        post.json(&entry)
    };
    stage.cut_before_next_response();
    let first = post().await;
    assert_eq!(first.status(), 201);
    // The client sends it again, and gets the same answer.
    assert_eq!(post().await.json::<Value>(), first.json::<Value>());
    let listing: Value = guestbook.get(PATH).await.json();
    assert_eq!(messages(&listing), ["hello", "before"]);
}
