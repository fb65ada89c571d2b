//! A function for Lambda Managed Instances: one process, several requests at the same time.
//!
//! It says how many entries the guestbook has, and which process and which of its sessions on
//! the database found out.

use lambda_http::Request;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    stagelink::run_concurrent(count).await
}

async fn count(request: Request) -> Result<Value, stagelink::Error> {
    let db = stagelink::client(&request).await?;
    let sql = "SELECT count(*), pg_backend_pid() FROM guestbook";
    let row = db.query_typed_one(sql, &[]).await?;
    Ok(json!({
        "entries": row.get::<_, i64>(0),
        "process": std::process::id(),
        "session": row.get::<_, i32>(1),
    }))
}
