//! An axum `Router` in Vercel's Rust runtime (`vercel_runtime` 2): a sketch that is compiled, and
//! was never deployed.

use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use stagelink::{Client, Database, Problem};
use tower::ServiceExt as _;
use vercel_runtime::{AppState, Error, Request, Response, ResponseBody, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let database = Database::from_env();
    if let Err(error) = database.warm_up().await {
        eprintln!(
            "could not connect before the first request: {}",
            error.report()
        );
    }
    let router = Router::new().route("/api/now", get(now));
    let on_shutdown = database.clone();
    run(service_fn(move |request: Request, state: AppState| {
        answer(router.clone(), database.clone(), request, state)
    }))
    .await?;
    on_shutdown.close().await;
    Ok(())
}

async fn now(db: Client) -> Result<Json<Value>, Problem> {
    let row = db.query_typed_one("SELECT now()::text", &[]).await?;
    Ok(Json(json!({ "now": row.get::<_, String>(0) })))
}

async fn answer(
    router: Router,
    database: Database,
    request: Request,
    state: AppState,
) -> Result<Response<ResponseBody>, Error> {
    let database = database.with_deadline(SystemTime::now() + MAX_DURATION);
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(database.clone());
    let response = router.oneshot(request).await?;
    // Vercel may suspend the instance once nothing waits any more.
    state.wait_until(async move { database.finish_invocation().await });
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, LARGEST_RESPONSE).await?;
    Ok(Response::from_parts(parts, body.into()))
}

/// Vercel's limit for a response that is not streamed.
const LARGEST_RESPONSE: usize = 4_500_000;

/// The function's `maxDuration` in `vercel.json`.
const MAX_DURATION: Duration = Duration::from_secs(60);
