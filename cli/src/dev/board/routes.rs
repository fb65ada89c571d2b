//! The routes of the board: the files of the page for everyone on this machine, and `/api` for the
//! holder of the token.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::guard::{self, Guard};
use super::refusal::refusal;
use super::{BoardState, actions, faults, feed, page, redaction, repeat};
use crate::dev::requests::noise;

/// Returns all routes, behind the guard.
pub(super) fn of(state: Arc<BoardState>, guard: Guard) -> Router {
    let api = Router::new()
        .route("/api/events", get(events))
        .route("/api/requests/{id}", get(request))
        .route("/api/requests/{id}/repeat", post(repeat::repeat))
        .route("/api/faults", post(faults::inject))
        .route("/api/faults/clear", post(faults::clear))
        .route("/api/plans", post(actions::look))
        .route("/api/plans/{id}/run", post(actions::run))
        .layer(from_fn_with_state(guard.clone(), guard::check_token));
    page::routes()
        .merge(api)
        .layer(from_fn_with_state(guard, guard::check))
        .with_state(state)
}

async fn events(State(board): State<Arc<BoardState>>) -> Response {
    Sse::new(feed::feed(board))
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// Returns a finished request with its lines and its event.
async fn request(State(board): State<Arc<BoardState>>, Path(id): Path<String>) -> Response {
    let Some(record) = board.requests.record(&id) else {
        return refusal(
            StatusCode::NOT_FOUND,
            "the request is not over yet, or no longer kept",
        );
    };
    let mut body = record.to_json();
    // As the terminal shows them; the page folds the runtime's own.
    let lines = record.lines.iter().map(|line| {
        json!({
            "line": line.line,
            "text": noise::shortened(line),
            "is_noise": noise::is_noise(line),
        })
    });
    body["lines"] = lines.collect();
    body["is_finished"] = true.into();
    body["event_bytes"] = record.event_bytes.into();
    body["event"] = match &record.event {
        Some(event) => redaction::of_event(serde_json::from_slice(event).unwrap_or_default()),
        None => Value::Null,
    };
    body["is_read"] = repeat::is_read(&record).into();
    Json(body).into_response()
}
