//! The function with sqlx and rustls, as its documentation shows it: a pool that is opened
//! before the first request, with the server's certificate verified. It is a pool of one, as
//! a process of Lambda serves one request at a time: with more, the next request opens a
//! second connection while the pool still checks the one that came back.

use std::str::FromStr as _;

use lambda_http::{Error, Request, run, service_fn};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use stagelink_contestants::{QUERY, id, item, variable};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let options = PgConnectOptions::from_str(&variable("DATABASE_URL")?)?
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(variable("DATABASE_CA")?);
    let pool = &PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await?;
    run(service_fn(async |request: Request| {
        answer(&request, pool).await
    }))
    .await
}

async fn answer(request: &Request, pool: &PgPool) -> Result<Value, Error> {
    let (id, name): (i64, String) = sqlx::query_as(QUERY)
        .bind(id(request)?)
        .fetch_one(pool)
        .await?;
    Ok(item(id, &name))
}
