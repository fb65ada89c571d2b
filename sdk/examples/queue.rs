//! A function for requests, for the messages of an SQS queue, and for pings of a schedule.
//!
//! SQS may deliver a message more than once, so each is written once by its id. The response names
//! the messages that failed, and the queue delivers these alone again: the event source mapping
//! needs `ReportBatchItemFailures` among its `FunctionResponseTypes`.
//!
//! It takes the tables of `migrations/` in this repository.

use lambda_http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use stagelink::{Database, Error, Event, IdempotencyKey, params};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    stagelink::run_with_events(count, on_event).await
}

/// Answers a request with the number of entries.
async fn count(request: Request) -> Result<String, Error> {
    let database = Database::from_request(&request);
    database
        .read(|db| async move {
            let row = db
                .query_typed_one("SELECT count(*) FROM guestbook", &[])
                .await?;
            Ok(row.get::<_, i64>(0).to_string())
        })
        .await
}

/// A batch of a queue's messages.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_id: String,
    body: String,
}

/// The JSON in the body of a message.
#[derive(Deserialize)]
struct Draft {
    name: String,
    message: String,
}

async fn on_event(event: Event) -> Result<Value, Error> {
    let Ok(batch) = event.payload::<Batch>() else {
        // A ping: that there is an answer is all that it wants.
        return Ok(json!({"stage": event.database().stage()?.as_str()}));
    };
    let mut failures = Vec::new();
    for message in batch.records {
        if let Err(reason) = keep(event.database(), &message).await {
            tracing::error!(message = ?message.message_id, reason, "a message was not kept");
            failures.push(json!({"itemIdentifier": message.message_id}));
        }
    }
    Ok(json!({"batchItemFailures": failures}))
}

/// Keeps a message's entry, once.
async fn keep(database: &Database, message: &Message) -> Result<(), String> {
    let draft: Draft = serde_json::from_str(&message.body)
        .map_err(|_| "its body is no entry of the guestbook".to_owned())?;
    let draft = &draft;
    let key = IdempotencyKey::for_message(&message.message_id, &message.body);
    let kept = database.write_once(&key, |db| async move {
        let sql = "INSERT INTO guestbook (name, message) VALUES ($1, $2)";
        db.execute_typed(sql, &params![&draft.name, &draft.message])
            .await?;
        Ok::<(), Error>(())
    });
    kept.await.map_err(|error| error.report().to_string())
}
