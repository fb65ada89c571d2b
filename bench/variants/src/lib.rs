//! The shared part of the variants: the query, the request and the response.
//!
//! Each variant with a pool has a pool of one connection: a Lambda process serves one request at a
//! time, and all processes share the connection limit of the database.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Error, IntoResponse, Request, RequestExt as _, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

/// The item that a request asks for.
#[derive(Debug)]
pub struct Question {
    /// The parameter `id` of the query string.
    pub id: i64,
    is_slow: bool,
}

impl Question {
    /// Reads the parameters of a request.
    ///
    /// # Errors
    ///
    /// When `id` is missing or no number.
    pub fn of(request: &Request) -> Result<Self, Error> {
        let parameters = request.query_string_parameters();
        Ok(Self {
            id: parameters.first("id").ok_or("there is no id")?.parse()?,
            is_slow: parameters.first("slow").is_some(),
        })
    }

    /// The SQL query, with one parameter of type `bigint`.
    pub fn query(&self) -> &'static str {
        if self.is_slow { SLOW_QUERY } else { QUERY }
    }

    /// Waits for the query; for the slow one with a short timeout, as functions do that answer 504
    /// before the platform does. `None` is a query that was abandoned.
    ///
    /// # Errors
    ///
    /// Those of the query.
    pub async fn in_time<T, E>(
        &self,
        query: impl Future<Output = Result<T, E>>,
    ) -> Result<Option<T>, E> {
        if !self.is_slow {
            return query.await.map(Some);
        }
        match timeout(PATIENCE, query).await {
            Ok(done) => done.map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// The response to a request.
#[derive(Debug)]
pub enum Answer {
    /// The row as JSON.
    Item(Value),
    /// The query took too long: 504.
    GivenUp,
}

impl Answer {
    /// Returns the response with the row.
    pub fn item(id: i64, name: &str) -> Self {
        Self::Item(json!({ "id": id, "name": name }))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        match self {
            Self::Item(item) => item.into_response(),
            Self::GivenUp => {
                (StatusCode::GATEWAY_TIMEOUT, "the query took too long").into_response()
            }
        }
    }
}

/// Reads an environment variable.
///
/// # Errors
///
/// When it is not set.
pub fn variable(name: &str) -> Result<String, Error> {
    std::env::var(name).map_err(|_| format!("the variable {name} is not set").into())
}

/// Returns an error whose text includes its causes, which the runtime leaves out of its response.
pub fn with_causes(error: Error) -> Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let said = deeper.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = deeper.source();
    }
    text.into()
}

/// One row of a table, selected by one parameter.
const QUERY: &str = "SELECT id, name FROM item WHERE id = $1";

/// The query with a delay of 2 s.
const SLOW_QUERY: &str = "SELECT id, name FROM item, pg_sleep(2) WHERE id = $1";

/// Timeout of the slow query.
const PATIENCE: Duration = Duration::from_millis(150);
