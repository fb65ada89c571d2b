//! The routes of `axum_crud.rs` as a plain HTTP server: for Cloud Run, Fly, a Heroku dyno, or any
//! machine. The SDK needs no AWS Lambda: build it with `default-features = false`.
//!
//! It listens on `PORT` and takes the stage and the provider from the same variables. A server
//! answers many requests at a time, so set `STAGELINK_POOL_SIZE` to the number of connections
//! that it may hold.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use stagelink::Database;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[path = "axum_crud.rs"]
mod axum_crud;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A server of your own uses `tracing_subscriber` itself.
    stagelink::init_log_subscriber();
    let database = Database::from_env();
    if let Err(error) = database.warm_up().await {
        // The server starts all the same: each request tries again, and is answered.
        tracing::warn!(reason = %error.report(), "could not connect before the first request");
    }
    let routes = axum_crud::routes().layer(from_fn_with_state(database.clone(), with_database));
    let port = std::env::var("PORT").map_or(Ok(8080), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(listener, routes)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    database.close().await;
    Ok(())
}

/// Gives each request the database with a deadline, and cancels in the server what a request that
/// has ended left running.
async fn with_database(
    State(database): State<Database>,
    mut request: Request,
    next: Next,
) -> Response {
    let database = database.with_deadline(SystemTime::now() + REQUEST_LIMIT);
    request.extensions_mut().insert(database.clone());
    let response = next.run(request).await;
    database.finish_invocation().await;
    response
}

/// Heroku's router waits 30 seconds for a response.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
