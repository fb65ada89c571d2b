//! What the contestants have in common: the query, the question and the answer.

use lambda_http::{Error, Request, RequestExt as _};
use serde_json::{Value, json};

/// One row of a table, selected by one parameter, a `bigint`.
pub const QUERY: &str = "SELECT id, name FROM item WHERE id = $1";

/// The parameter: `id` of the query string.
///
/// # Errors
///
/// When there is none, or it is no number.
pub fn id(request: &Request) -> Result<i64, Error> {
    let parameters = request.query_string_parameters();
    Ok(parameters.first("id").ok_or("there is no id")?.parse()?)
}

/// The answer: the row as JSON.
pub fn item(id: i64, name: &str) -> Value {
    json!({ "id": id, "name": name })
}

/// A variable of the environment.
///
/// # Errors
///
/// When it is not set.
pub fn variable(name: &str) -> Result<String, Error> {
    std::env::var(name).map_err(|_| format!("the variable {name} is not set").into())
}
