//! A function whose start is kept as a SnapStart snapshot. There is nothing to do for it: the
//! connections are closed before the snapshot, and one is opened after each restore.
//!
//! It says since when its session on the database is there, as a time of day.

use lambda_http::Request;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    stagelink::run(since).await
}

async fn since(request: Request) -> Result<String, stagelink::Error> {
    let db = stagelink::client(&request).await?;
    let sql = "SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let row = db.query_typed_one(sql, &[]).await?;
    Ok(row.get(0))
}
