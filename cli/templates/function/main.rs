//! The function `{{name}}`: it answers with its stage, and with the time of the stage's database.

use lambda_http::Request;
use serde_json::{Value, json};
use stagelink::{Database, Problem};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    // Without this the function logs nothing. RUST_LOG sets the level.
    stagelink::init_log_subscriber();
    stagelink::run(handle).await
}

async fn handle(request: Request) -> Result<Value, Problem> {
    let database = Database::from_request(&request);
    let stage = database.stage()?;
    // `read` runs the query again on a new connection, if the first one breaks.
    let time = database
        .read(|db| async move {
            let row = db
                .query_typed_one("SELECT now()::text AS time", &[])
                .await?;
            Ok::<_, Problem>(row.get::<_, String>("time"))
        })
        .await?;
    Ok(json!({ "stage": stage.as_str(), "time": time }))
}
