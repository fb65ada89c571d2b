//! The function with sqlx and rustls, as its documentation shows it: a pool that is opened before
//! the first request, with a verified server certificate. The pool has one connection, as a Lambda
//! process serves one request at a time: with more, the next request would open a second
//! connection while the pool still checks the returned one.

use std::str::FromStr as _;

use lambda_http::{Error, Request, run, service_fn};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use stagelink_bench_variants::{Answer, Question, variable};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let options = PgConnectOptions::from_str(&variable("DATABASE_URL")?)?
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(variable("DATABASE_CA")?)
        // PgBouncer refuses clients that send it, unless it is configured to ignore it.
        .extra_float_digits(None);
    let pool = &PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await?;
    run(service_fn(async |request: Request| {
        answer(&request, pool).await
    }))
    .await
}

async fn answer(request: &Request, pool: &PgPool) -> Result<Answer, Error> {
    let question = Question::of(request)?;
    let query = sqlx::query_as(question.query())
        .bind(question.id)
        .fetch_one(pool);
    let row: Option<(i64, String)> = question.in_time(query).await?;
    Ok(row.map_or(Answer::GivenUp, |(id, name)| Answer::item(id, &name)))
}
