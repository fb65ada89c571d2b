//! Sends the event of an earlier request again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use stagelink_local::{RequestRecord, Trigger};

use super::refusal::refusal;
use super::{BoardState, Sites};

/// The body of a request to send an event again.
#[derive(Deserialize)]
pub(super) struct Repetition {
    /// True once the person has agreed to a write.
    #[serde(default)]
    is_confirmed: bool,
}

/// Sends the event of a request again. What may write is refused until the person has confirmed it.
pub(super) async fn repeat(
    State(board): State<Arc<BoardState>>,
    Path(id): Path<String>,
    Json(repetition): Json<Repetition>,
) -> Response {
    let Some(record) = board.requests.record(&id) else {
        return refusal(StatusCode::NOT_FOUND, "the request is no longer kept");
    };
    if !is_read(&record) && !repetition.is_confirmed {
        return refusal(
            StatusCode::CONFLICT,
            "it may write: confirm that it is sent again",
        );
    }
    if record.deploy.is_some() {
        return refusal(
            StatusCode::CONFLICT,
            "a deploy of the local Netlify got this request: send it to the deploy's address again",
        );
    }
    let repeated = match &board.sites {
        Sites::Local(sites) => {
            let site = sites.iter().find(|site| site.name() == record.stage);
            site.and_then(|site| site.repeat(&record))
        }
        Sites::Remote(site) => site.repeat(&record),
    };
    match repeated {
        Some(id) => (StatusCode::ACCEPTED, Json(json!({ "id": id }))).into_response(),
        None => refusal(
            StatusCode::CONFLICT,
            "there is no event to send: it was a file, its event is too large, or the function has gone",
        ),
    }
}

/// Returns whether a request is of a method that only reads. An event of another kind may write.
pub(super) fn is_read(record: &RequestRecord) -> bool {
    let of_client = matches!(record.trigger, Trigger::Request | Trigger::Repeat);
    of_client && matches!(&*record.method, "GET" | "HEAD" | "OPTIONS")
}
