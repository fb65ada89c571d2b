//! HTTP handler of the guestbook: GET reads a page, POST stores an entry.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use lambda_http::{Body, Request, RequestExt as _};
use serde::Serialize;
use serde_json::json;
use stagelink::{Database, IdempotencyKey, Problem};

use crate::entry::{Draft, Entry, Page};

/// Body of the response to GET.
#[derive(Serialize)]
struct Listing<'a> {
    stage: &'a str,
    entries: Vec<Entry>,
    /// Value of `cursor` for the next page; null on the last.
    next: Option<String>,
}

/// Handles one request.
pub(crate) async fn handle(request: Request) -> Result<Response<Body>, Problem> {
    if !is_guestbook(request.raw_http_path()) {
        return Err(not_found());
    }
    match *request.method() {
        Method::GET | Method::HEAD => list(&request).await,
        Method::POST => leave(&request).await,
        Method::OPTIONS => Ok(allowed()),
        _ => Err(not_allowed()),
    }
}

async fn list(request: &Request) -> Result<Response<Body>, Problem> {
    let query = Query::parse(request)?;
    let database = Database::from_request(request);
    let stage = database.stage()?;
    let page = database
        .read(|db| async move {
            let page = Page::read(&db, query.before, query.limit).await?;
            Ok::<_, Problem>(page)
        })
        .await?;
    let listing = Listing {
        stage: stage.as_str(),
        entries: page.entries,
        next: page.next.map(|id| id.to_string()),
    };
    let mut response = json_response(StatusCode::OK, &listing);
    if request.method() == Method::HEAD {
        *response.body_mut() = Body::Empty;
    }
    Ok(response)
}

async fn leave(request: &Request) -> Result<Response<Body>, Problem> {
    let entry = &draft(request)?.check().map_err(|wrong| invalid(&wrong))?;
    let key = IdempotencyKey::from_request(request)?;
    let database = Database::from_request(request);
    let kept: Entry = match key {
        Some(key) => {
            database
                .write_once(&key, |db| async move {
                    let kept = entry.insert(&db).await?;
                    Ok::<_, Problem>(kept)
                })
                .await?
        }
        None => {
            database
                .write(|db| async move {
                    let kept = entry.insert(&db).await?;
                    Ok::<_, Problem>(kept)
                })
                .await?
        }
    };
    Ok(json_response(StatusCode::CREATED, &kept))
}

/// Page that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Query {
    before: Option<i64>,
    limit: u8,
}

impl Query {
    fn parse(request: &Request) -> Result<Self, Problem> {
        let parameters = request.query_string_parameters();
        let bad = |name: &str, why: &str| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                format!("The query parameter {name} {why}."),
            )
        };
        let before = parameters
            .first("cursor")
            .map(|text| {
                text.parse()
                    .map_err(|_| bad("cursor", "is not the value of next in an earlier answer"))
            })
            .transpose()?;
        let limit = parameters.first("limit").map_or(Ok(PAGE), |text| {
            text.parse()
                .ok()
                .filter(|limit| (1..=PAGE_AT_MOST).contains(limit))
                .ok_or_else(|| bad("limit", "is not a number from 1 to 100"))
        })?;
        Ok(Self { before, limit })
    }
}

/// Parses the body of a POST: JSON of limited size.
fn draft(request: &Request) -> Result<Draft, Problem> {
    let media_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    if media_type.as_deref() != Some("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the entry as application/json.",
        ));
    }
    if request.body().len() > BODY_BYTES {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The entry is larger than {BODY_BYTES} bytes."),
        ));
    }
    let not_an_entry = |place: &str| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("The body is not a JSON object with the texts name and message{place}."),
        )
    };
    // serde would also accept an array, and take its values in order.
    if request.body().trim_ascii_start().first() != Some(&b'{') {
        return Err(not_an_entry(""));
    }
    serde_json::from_slice(request.body()).map_err(|error| {
        not_an_entry(&format!(
            " (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_string(body).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn invalid(wrong: &[(&str, String)]) -> Problem {
    let sentence: Vec<String> = wrong
        .iter()
        .map(|(field, reason)| format!("The {field} {reason}."))
        .collect();
    let members: Vec<_> = wrong
        .iter()
        .map(|(field, reason)| json!({ "field": field, "reason": reason }))
        .collect();
    Problem::new(StatusCode::BAD_REQUEST, sentence.join(" ")).with_member("errors", members)
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "The guestbook has nothing beneath it.",
    )
}

fn not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "The guestbook takes GET to read and POST to leave an entry.",
    )
    .with_header(ALLOW, METHODS)
}

fn allowed() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, METHODS);
    response
}

/// Paths of the function: /api/guestbook and /.netlify/functions/guestbook.
fn is_guestbook(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.rsplit('/').next() == Some("guestbook")
}

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");

/// Entries on a page, unless `limit` says otherwise.
const PAGE: u8 = 20;
const PAGE_AT_MOST: u8 = 100;

/// Size that the longest name and message fit in, with four bytes per character and escaped.
const BODY_BYTES: usize = 16 * 1024;

#[cfg(test)]
#[path = "handler/tests.rs"]
mod tests;
