//! A function that is an axum `Router`: several routes in one program.

use axum::extract::{Extension, Path};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use stagelink::Database;
use tokio_postgres::types::Type;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::tracing::init_default_subscriber();
    let router = Router::new()
        .route("/api/router/stage", get(stage))
        .route("/api/router/double/{number}", get(double));
    stagelink::run(router).await
}

async fn stage(Extension(database): Extension<Database>) -> String {
    database.stage().map_or_else(
        |error| error.public_message().to_owned(),
        |stage| stage.to_string(),
    )
}

async fn double(Extension(database): Extension<Database>, Path(number): Path<i64>) -> Json<Value> {
    let answer = async {
        let db = database.client().await?;
        let row = db
            .query_typed_one("SELECT 2 * $1", &[(&number, Type::INT8)])
            .await?;
        Ok::<i64, stagelink::Error>(row.get(0))
    };
    Json(match answer.await {
        Ok(double) => json!({ "double": double }),
        Err(error) => json!({ "error": error.public_message() }),
    })
}
