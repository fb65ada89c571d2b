//! The shared part of the functions without stagelink: a pool and a guestbook, written as the
//! documentation of their crates shows it.

use deadpool_postgres::tokio_postgres::Row;
use deadpool_postgres::{Config, ManagerConfig, Pool, RecyclingMethod, Runtime};
use http::{Method, Response, StatusCode};
use lambda_http::{Body, Error, Request};
use native_tls::TlsConnector;
use postgres_native_tls::MakeTlsConnector;
use serde::Deserialize;
use serde_json::{Value, json};

/// Opens a pool of connections to the database at this URL.
///
/// # Errors
///
/// When the URL is invalid.
pub fn open_pool(url: &str) -> Result<Pool, Error> {
    // Heroku's certificates are self-signed, so functions commonly skip their verification. The
    // connection is encrypted, but any server that answers gets the password and the queries.
    // stagelink requires the server to prove that it knows the password.
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

/// Answers like the function `guestbook`: GET returns the newest entries, POST adds one. An error
/// is a response with the status 500, whose body is the root cause.
///
/// # Errors
///
/// Only when the response cannot be built.
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

/// Reads an environment variable.
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

/// Returns the text of the innermost cause, which is the message of Postgres where it sent one.
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
