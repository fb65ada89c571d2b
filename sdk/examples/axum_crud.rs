//! A guestbook as an axum `Router`: create, read, update and delete, a transaction, a write with
//! an idempotency key, and a stream of rows.
//!
//! It takes the tables of `migrations/` in this repository. [`plain_server.rs`] serves the same
//! routes without AWS Lambda.

#![allow(
    dead_code,
    reason = "plain_server.rs includes this file and has a `main` of its own"
)]

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use stagelink::tokio_postgres::Row;
use stagelink::{Database, Idempotent, Problem, params};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    stagelink::run_with_streaming_response(routes()).await
}

/// The routes, for any server that puts a [`Database`] into the request.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/entries", get(list).post(create))
        .route("/api/entries/export", get(export))
        .route("/api/entries/merge", post(merge))
        .route("/api/entries/{id}", get(read).put(update).delete(delete))
}

#[derive(Deserialize, Serialize)]
struct Entry {
    id: i64,
    name: String,
    message: String,
}

#[derive(Clone, Deserialize)]
struct NewEntry {
    name: String,
    message: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: i64,
}

#[derive(Clone, Copy, Deserialize)]
struct Merge {
    from: i64,
    into: i64,
}

/// Reads are repeated where the connection is lost.
async fn list(database: Database, Query(page): Query<Page>) -> Result<Json<Vec<Entry>>, Problem> {
    let entries = database
        .read(|db| async move {
            let sql = "SELECT id, name, message FROM guestbook WHERE id > $1 ORDER BY id LIMIT 20";
            let rows = db.query_cached(sql, &params![page.after]).await?;
            Ok::<_, Problem>(rows.iter().map(entry).collect())
        })
        .await?;
    Ok(Json(entries))
}

async fn read(database: Database, Path(id): Path<i64>) -> Result<Json<Entry>, Problem> {
    let row = database
        .read(|db| async move {
            let sql = "SELECT id, name, message FROM guestbook WHERE id = $1";
            Ok::<_, Problem>(db.query_cached_opt(sql, &params![id]).await?)
        })
        .await?;
    row.as_ref().map(entry).map(Json).ok_or_else(missing)
}

/// The key makes the write safe to repeat, for the SDK and for the client.
async fn create(
    database: Database,
    Idempotent(key, Json(new)): Idempotent<Json<NewEntry>>,
) -> Result<(StatusCode, Json<Entry>), Problem> {
    check(&new)?;
    let entry = database
        .write_once(&key, |db| {
            let NewEntry { name, message } = new.clone();
            async move {
                let sql = "INSERT INTO guestbook (name, message) VALUES ($1, $2) \
                           RETURNING id, name, message";
                let row = db.query_typed_one(sql, &params![name, message]).await?;
                Ok::<_, Problem>(entry(&row))
            }
        })
        .await?;
    Ok((StatusCode::CREATED, Json(entry)))
}

async fn update(
    database: Database,
    Path(id): Path<i64>,
    Json(new): Json<NewEntry>,
) -> Result<Json<Entry>, Problem> {
    check(&new)?;
    let row = database
        .write(|db| {
            let NewEntry { name, message } = new.clone();
            async move {
                let sql = "UPDATE guestbook SET name = $2, message = $3 WHERE id = $1 \
                           RETURNING id, name, message";
                let rows = db.query_typed(sql, &params![id, name, message]).await?;
                Ok::<_, Problem>(rows.into_iter().next())
            }
        })
        .await?;
    row.as_ref().map(entry).map(Json).ok_or_else(missing)
}

async fn delete(database: Database, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    let deleted = database
        .write(|db| async move {
            let sql = "DELETE FROM guestbook WHERE id = $1";
            Ok::<_, Problem>(db.execute_typed(sql, &params![id]).await?)
        })
        .await?;
    match deleted {
        0 => Err(missing()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Appends one entry's message to another and deletes the first: both or nothing.
async fn merge(database: Database, Json(merge): Json<Merge>) -> Result<Json<Entry>, Problem> {
    let entry = database
        .transaction(|db| async move {
            let Merge { from, into } = merge;
            let sql = "DELETE FROM guestbook WHERE id = $1 RETURNING message";
            let deleted = db.query_typed(sql, &params![from]).await?;
            let message: String = deleted.first().ok_or_else(missing)?.get(0);
            let sql = "UPDATE guestbook SET message = message || ' ' || $2 WHERE id = $1 \
                       RETURNING id, name, message";
            let updated = db.query_typed(sql, &params![into, message]).await?;
            // The error rolls the deletion back.
            Ok::<_, Problem>(entry(updated.first().ok_or_else(missing)?))
        })
        .await?;
    Ok(Json(entry))
}

/// Sends all entries as lines of JSON while the database still reads them, in little memory.
async fn export(database: Database) -> Result<Body, Problem> {
    let sql = "SELECT id, name, message FROM guestbook ORDER BY id";
    let rows = database.rows(sql, &[]).await?;
    Ok(Body::from_stream(rows.map(|row| {
        let line = serde_json::to_string(&entry(&row?)).unwrap_or_default();
        Ok::<_, stagelink::Error>(Bytes::from(line + "\n"))
    })))
}

fn check(new: &NewEntry) -> Result<(), Problem> {
    if new.name.is_empty() || new.message.is_empty() {
        let detail = "An entry has a name and a message.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(())
}

fn missing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "There is no such entry.")
}

fn entry(row: &Row) -> Entry {
    Entry {
        id: row.get(0),
        name: row.get(1),
        message: row.get(2),
    }
}
