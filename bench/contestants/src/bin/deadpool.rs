//! The function with deadpool-postgres and native-tls, as their documentation shows them: a
//! pool, a prepared statement that is cached, and the server's certificate as a root.

use deadpool_postgres::{Config, ManagerConfig, Pool, RecyclingMethod, Runtime};
use lambda_http::{Error, Request, run, service_fn};
use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use serde_json::Value;
use stagelink_contestants::{QUERY, id, item, variable};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let pool = &open_pool()?;
    run(service_fn(async |request: Request| {
        answer(&request, pool).await
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
        recycling_method: RecyclingMethod::Fast,
    });
    Ok(config.create_pool(Some(Runtime::Tokio1), MakeTlsConnector::new(connector))?)
}

async fn answer(request: &Request, pool: &Pool) -> Result<Value, Error> {
    let client = pool.get().await?;
    let statement = client.prepare_cached(QUERY).await?;
    let row = client.query_one(&statement, &[&id(request)?]).await?;
    Ok(item(row.get(0), row.get(1)))
}
