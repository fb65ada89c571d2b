//! The function `notes`: GET lists the notes of the stage, or with `?text=` those with that text, and
//! POST keeps a new one.

use lambda_http::http::header::{ALLOW, HeaderValue};
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Request, RequestExt as _, RequestPayloadExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use stagelink::{Database, Problem};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    // Without this the function logs nothing. RUST_LOG sets the level.
    stagelink::init_log_subscriber();
    stagelink::run(handle).await
}

/// The body of a POST request.
#[derive(Deserialize)]
struct Draft {
    text: String,
}

async fn handle(request: Request) -> Result<Value, Problem> {
    match *request.method() {
        Method::GET => list(&request).await,
        Method::POST => keep(&request).await,
        _ => {
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Notes takes GET and POST.");
            Err(problem.with_header(ALLOW, HeaderValue::from_static("GET, POST")))
        }
    }
}

async fn list(request: &Request) -> Result<Value, Problem> {
    let database = Database::from_request(request);
    let stage = database.stage()?;
    let parameters = request.query_string_parameters();
    let text = parameters.first("text");
    // `read` runs the query again on a new connection, if the first one breaks.
    let notes = database
        .read(|db| async move {
            let rows = db
                .query_typed(
                    "SELECT text FROM notes WHERE $1 IS NULL OR text = $1 ORDER BY id DESC LIMIT 20",
                    &stagelink::params![text],
                )
                .await?;
            let texts = rows.iter().map(|row| row.get("text"));
            Ok::<_, Problem>(texts.collect::<Vec<String>>())
        })
        .await?;
    Ok(json!({ "stage": stage.as_str(), "notes": notes }))
}

async fn keep(request: &Request) -> Result<Value, Problem> {
    let draft: Option<Draft> = request.json().ok().flatten();
    let Some(text) = &draft.map(|draft| draft.text).filter(|text| is_valid(text)) else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "A note is JSON with a text of 1 to 1,000 characters.",
        ));
    };
    // `write` runs the statement again only if the first one certainly had no effect.
    Database::from_request(request)
        .write(|db| async move {
            db.query_typed(
                "INSERT INTO notes (text) VALUES ($1)",
                &stagelink::params![text],
            )
            .await?;
            Ok::<_, Problem>(())
        })
        .await?;
    Ok(json!({ "text": text }))
}

/// Returns whether the table accepts a text.
fn is_valid(text: &str) -> bool {
    (1..=1000).contains(&text.chars().count())
}

#[cfg(test)]
mod tests;
