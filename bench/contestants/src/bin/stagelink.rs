//! The function with stagelink.

use lambda_http::{Error, IntoResponse, Request};
use stagelink_contestants::{QUERY, id, item};
use tokio_postgres::types::Type;

async fn handle(request: Request) -> Result<impl IntoResponse, Error> {
    let db = stagelink::client(&request).await?;
    let id = id(&request)?;
    let row = db.query_typed_one(QUERY, &[(&id, Type::INT8)]).await?;
    Ok(item(row.get(0), row.get(1)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    stagelink::run(handle).await
}
