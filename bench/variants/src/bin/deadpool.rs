//! The function with deadpool-postgres and native-tls, as their documentation shows them: a pool,
//! a cached prepared statement, and the server's certificate as a root. The environment variable
//! `DATABASE_RECYCLING` names the recycling method.

use deadpool_postgres::{Config, ManagerConfig, Pool, PoolConfig, RecyclingMethod, Runtime};
use lambda_http::{Error, Request, run, service_fn};
use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use stagelink_bench_variants::{Answer, Question, variable, with_causes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let pool = &open_pool()?;
    run(service_fn(async |request: Request| {
        answer(&request, pool).await.map_err(with_causes)
    }))
    .await
}

fn open_pool() -> Result<Pool, Error> {
    let root = std::fs::read(variable("DATABASE_CA")?)?;
    let connector = TlsConnector::builder()
        .add_root_certificate(Certificate::from_pem(&root)?)
        .build()?;
    let mut config = Config::new();
    config.url = Some(format!("{}?sslmode=require", variable("DATABASE_URL")?));
    config.manager = Some(ManagerConfig {
        recycling_method: recycling()?,
    });
    config.pool = Some(PoolConfig::new(1));
    Ok(config.create_pool(Some(Runtime::Tokio1), MakeTlsConnector::new(connector))?)
}

/// Reads the method by which the pool checks a connection before reuse, by its name in the
/// documentation.
fn recycling() -> Result<RecyclingMethod, Error> {
    match &*variable("DATABASE_RECYCLING")? {
        "Fast" => Ok(RecyclingMethod::Fast),
        "Verified" => Ok(RecyclingMethod::Verified),
        other => Err(format!("there is no recycling method {other}").into()),
    }
}

async fn answer(request: &Request, pool: &Pool) -> Result<Answer, Error> {
    let question = Question::of(request)?;
    let client = pool.get().await?;
    let row = question.in_time(async {
        let statement = client.prepare_cached(question.query()).await?;
        client.query_one(&statement, &[&question.id]).await
    });
    Ok(match row.await? {
        Some(row) => Answer::item(row.get(0), row.get(1)),
        None => Answer::GivenUp,
    })
}
