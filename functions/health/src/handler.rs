//! Health check: the stage, whether its database can be reached, and the duration of each phase.

use std::time::{Duration, Instant};

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use lambda_http::{Body, Request};
use serde_json::{Value, json};
use stagelink::{Database, Error, Problem, Stage};

/// Handles one request. The response names no host, app or role, because it is public.
pub(crate) async fn handle(request: Request) -> Result<Response<Body>, Problem> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let methods = HeaderValue::from_static("GET, HEAD");
        return Err(
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Health takes GET alone.")
                .with_header(ALLOW, methods),
        );
    }
    let database = Database::from_request(&request);
    let stage = database.stage().ok();
    let stage = stage.as_ref().map(Stage::as_str);
    let phases = probe(&database).await.map_err(|error| {
        Problem::from(error)
            .with_member("stage", stage)
            .with_member("database", json!({ "reachable": false }))
    })?;
    let mut response = reachable(stage, &phases);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if request.method() == Method::HEAD {
        *response.body_mut() = Body::Empty;
    }
    Ok(response)
}

/// Takes a connection from the pool and makes one round trip on it.
async fn probe(database: &Database) -> Result<Value, Error> {
    let started = Instant::now();
    let db = database.client().await?;
    let checkout = started.elapsed();
    let started = Instant::now();
    db.query_typed_one("SELECT 1", &[]).await?;
    let query = started.elapsed();
    let opened = database.connect_timings().map(|phases| {
        json!({
            "resolve_ms": phases.resolve.map(milliseconds),
            "connect_ms": milliseconds(phases.connect),
            "tls_ms": milliseconds(phases.tls),
            "authenticate_ms": milliseconds(phases.authenticate),
        })
    });
    Ok(json!({
        "opened": opened,
        "checkout_ms": milliseconds(checkout),
        "query_ms": milliseconds(query),
    }))
}

fn reachable(stage: Option<&str>, phases: &Value) -> Response<Body> {
    let body = json!({
        "stage": stage,
        "database": { "reachable": true },
        "phases": phases,
    });
    let mut response = Response::new(Body::from(body.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns milliseconds with three decimal places.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn health_without_a_link_says_so_and_hides_the_reason() {
        let problem = handle(Request::new(Body::Empty)).await.unwrap_err();
        let response = problem.to_response();
        assert_eq!(response.status(), 500);
        let body: Value = serde_json::from_str(response.body()).unwrap();
        assert_eq!(body["database"]["reachable"], false);
        assert_eq!(body["stage"], Value::Null);
        assert!(!body.to_string().contains("stagelink::run"));
    }

    #[tokio::test]
    async fn health_accepts_get_only() {
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = Method::POST;
        assert_eq!(handle(request).await.unwrap_err().status(), 405);
    }

    #[test]
    fn time_is_reported_in_milliseconds() {
        assert!((milliseconds(Duration::from_micros(1_234)) - 1.234).abs() < 1e-9);
    }
}
