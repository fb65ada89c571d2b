//! What the functions without stagelink have in common: a pool and a guestbook, as the
//! documentation of their crates shows it.

use deadpool_postgres::tokio_postgres::Row;
use deadpool_postgres::{Config, ManagerConfig, Pool, RecyclingMethod, Runtime};
use http::{Method, Response, StatusCode};
use lambda_http::{Body, Error, Request};
use native_tls::TlsConnector;
use postgres_native_tls::MakeTlsConnector;
use serde::Deserialize;
use serde_json::{Value, json};

/// A pool of connections to the database at this URL.
///
/// # Errors
///
/// When the URL is none.
pub fn open_pool(url: &str) -> Result<Pool, Error> {
    // Heroku's certificates are self-signed, and this is what people do about it. The
    // connection is encrypted, and whoever answers is believed and gets the queries.
    // stagelink does not do this: it has the server prove that it knows the password.
    let tls = TlsConnector::builder()
        .danger_accept_invalid_certs(true)
        .build()?;
    let mut config = Config::new();
    config.url = Some(url.to_owned());
    config.manager = Some(ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    });
    Ok(config.create_pool(Some(Runtime::Tokio1), MakeTlsConnector::new(tls))?)
}

/// Answers as the function `guestbook` does: GET reads the newest entries, POST leaves one.
/// An error is an answer with the status 500, whose body says why.
///
/// # Errors
///
/// None but that of an impossible response.
pub async fn answer(request: &Request, pool: Result<Pool, Error>) -> Result<Response<Body>, Error> {
    let (status, body) = match guestbook(request, pool).await {
        Ok((status, body)) => (status, body.to_string()),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, root_cause(&*error)),
    };
    Ok(Response::builder().status(status).body(body.into())?)
}

async fn guestbook(
    request: &Request,
    pool: Result<Pool, Error>,
) -> Result<(StatusCode, Value), Error> {
    let db = pool?.get().await?;
    if request.method() == Method::POST {
        let entry: Draft = serde_json::from_slice(request.body())?;
        let insert = db
            .prepare_cached(
                "INSERT INTO guestbook (name, message) VALUES ($1, $2) \
                 RETURNING id, name, message, created_at::text",
            )
            .await?;
        let row = db
            .query_one(&insert, &[&entry.name, &entry.message])
            .await?;
        Ok((StatusCode::CREATED, to_json(&row)))
    } else {
        let select = db
            .prepare_cached(
                "SELECT id, name, message, created_at::text FROM guestbook \
                 ORDER BY id DESC LIMIT 20",
            )
            .await?;
        let rows = db.query(&select, &[]).await?;
        let entries: Vec<Value> = rows.iter().map(to_json).collect();
        Ok((StatusCode::OK, json!({ "entries": entries })))
    }
}

/// A variable of the environment.
///
/// # Errors
///
/// When it is not set.
pub fn env_var(name: &str) -> Result<String, Error> {
    std::env::var(name).map_err(|_| format!("the env_var {name} is not set").into())
}

/// The body of a POST.
#[derive(Deserialize)]
struct Draft {
    name: String,
    message: String,
}

/// What is at the bottom of an error: the words of Postgres, if it has said some.
fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

fn to_json(row: &Row) -> Value {
    json!({
        "id": row.get::<_, i64>(0),
        "name": row.get::<_, &str>(1),
        "message": row.get::<_, &str>(2),
        "created_at": row.get::<_, &str>(3),
    })
}
