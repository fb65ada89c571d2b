//! A function that is an axum `Router`: several routes in one program.

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use stagelink::{Client, Database, Error, params};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    let router = Router::new()
        .route("/api/router/stage", get(stage))
        .route("/api/router/double/{number}", get(double));
    stagelink::run(router).await
}

async fn stage(database: Database) -> Result<String, Error> {
    Ok(database.stage()?.to_string())
}

async fn double(db: Client, Path(number): Path<i64>) -> Result<Json<Value>, Error> {
    let row = db
        .query_typed_one("SELECT 2 * $1", &params![number])
        .await?;
    Ok(Json(json!({ "double": row.get::<_, i64>(0) })))
}
