//! Injects and clears faults, for the page.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use stagelink_local::faults::Fault;
use stagelink_local::{Error, ErrorKind};

use super::BoardState;
use super::refusal::refusal;

/// The body of a request to inject a fault.
#[derive(Deserialize)]
pub(super) struct Injection {
    stage: String,
    fault: Fault,
    duration_ms: Option<u64>,
}

/// The body of a request to end faults.
#[derive(Deserialize)]
pub(super) struct Clearing {
    /// All stages by default.
    stage: Option<String>,
    /// Ends freezes alone.
    #[serde(default)]
    thaw: bool,
}

/// Injects a fault into a local stage.
pub(super) async fn inject(
    State(board): State<Arc<BoardState>>,
    Json(injection): Json<Injection>,
) -> Response {
    let Injection { stage, fault, .. } = injection;
    let duration = injection.duration_ms.map(Duration::from_millis);
    let faults = match board.faults() {
        Ok(faults) => faults,
        Err(refused) => return *refused,
    };
    let injected = faults.inject(&stage, fault.clone(), duration).await;
    board.stages.look_again().notify_waiters();
    match injected {
        Ok(()) => Json(json!({ "injected": fault.to_string() })).into_response(),
        Err(error) => failed(error),
    }
}

/// Ends the faults of a stage, or of all.
pub(super) async fn clear(
    State(board): State<Arc<BoardState>>,
    Json(clearing): Json<Clearing>,
) -> Response {
    let stage = clearing.stage.as_deref();
    let faults = match board.faults() {
        Ok(faults) => faults,
        Err(refused) => return *refused,
    };
    let ended = match clearing.thaw {
        true => faults.thaw(stage).await,
        false => faults.clear(stage).await,
    };
    board.stages.look_again().notify_waiters();
    match ended {
        Ok(ended) => {
            let ended: Vec<_> = ended.iter().map(ToString::to_string).collect();
            Json(json!({ "ended": ended })).into_response()
        }
        Err(error) => failed(error),
    }
}

fn failed(error: Error) -> Response {
    let status = match error.kind() {
        ErrorKind::Input | ErrorKind::Unsupported => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refusal(status, &format!("{:#}", anyhow::Error::from(error)))
}
