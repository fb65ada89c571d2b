//! Tests of the handler. Each has a stage of its own, with a fresh database of a real Postgres.

use stagelink_test::TestStage;

use super::*;

#[stagelink_test::test(stage = "staging")]
async fn note_is_kept(stage: TestStage) {
    let notes = stage.function(handle);
    let note = json!({ "text": "hello" });
    assert_eq!(notes.post("/api/notes").json(&note).await.status(), 200);
    let kept: Value = notes.get("/api/notes").await.json();
    assert_eq!(kept, json!({ "stage": "staging", "notes": ["hello"] }));
    let others: Value = notes.get("/api/notes?text=other").await.json();
    assert_eq!(others["notes"], json!([]));
}

#[stagelink_test::test]
async fn empty_note_is_refused(stage: TestStage) {
    let notes = stage.function(handle);
    let note = json!({ "text": "" });
    assert_eq!(notes.post("/api/notes").json(&note).await.status(), 400);
}
