//! The server by which other programs of this machine's user inject faults.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::control::FaultControl;
use super::fault::Fault;
use crate::api::Server;
use crate::{Error, ErrorKind};

/// A server on a free port of 127.0.0.1 that gives the holder of its token a [`FaultControl`].
///
/// Each web page that a browser of this machine shows can send it requests. It refuses a request
/// without its token, one for another host name than this machine's (DNS rebinding), and each that a
/// browser sends from a page.
pub struct FaultServer {
    token: String,
    server: Server,
}

/// The body of a request that injects a fault.
#[derive(Deserialize, Serialize)]
pub(super) struct Injection {
    pub(super) stage: String,
    pub(super) fault: Fault,
    /// Milliseconds.
    pub(super) duration_ms: Option<u64>,
}

/// The query of a request that clears faults.
#[derive(Deserialize)]
struct Clearing {
    stage: Option<String>,
    /// Ends freezes alone.
    #[serde(default)]
    thaw: bool,
}

#[derive(Clone)]
struct AppState {
    control: FaultControl,
    token: Arc<str>,
}

impl FaultServer {
    /// Starts the server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if no port can be opened.
    pub async fn start(control: FaultControl) -> Result<Self, Error> {
        let token = [Uuid::new_v4(), Uuid::new_v4()].map(|part| part.simple().to_string());
        let token = token.concat();
        let state = AppState {
            control,
            token: token.as_str().into(),
        };
        let routes = Router::new()
            .route(PATH, get(list).post(inject).delete(clear))
            .layer(from_fn_with_state(state.clone(), authorize))
            .with_state(state);
        Ok(Self {
            token,
            server: Server::start(0, routes).await?,
        })
    }

    /// Base URL of the server.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// The token, a secret.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Stops the server. When it returns, the port is free.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl fmt::Debug for FaultServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultServer")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

async fn authorize(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !is_for_this_machine(headers) || comes_from_a_page(headers) {
        return error(
            StatusCode::FORBIDDEN,
            "this server is for programs of this machine",
        );
    }
    if !has_token(headers, &state.token) {
        return error(StatusCode::UNAUTHORIZED, "the token is missing or wrong");
    }
    next.run(request).await
}

async fn list(State(state): State<AppState>) -> Response {
    Json(json!({ "faults": state.control.active() })).into_response()
}

async fn inject(State(state): State<AppState>, body: String) -> Response {
    let injection: Injection = match serde_json::from_str(&body) {
        Ok(injection) => injection,
        Err(cause) => return error(StatusCode::BAD_REQUEST, &format!("no such fault: {cause}")),
    };
    let duration = injection.duration_ms.map(Duration::from_millis);
    let Injection { stage, fault, .. } = injection;
    match state.control.inject(&stage, fault, duration).await {
        Ok(()) => list(State(state)).await,
        Err(cause) => error_response(&cause),
    }
}

async fn clear(State(state): State<AppState>, Query(query): Query<Clearing>) -> Response {
    let stage = query.stage.as_deref();
    let ended = match query.thaw {
        true => state.control.thaw(stage).await,
        false => state.control.clear(stage).await,
    };
    match ended {
        Ok(ended) => Json(json!({ "ended": ended })).into_response(),
        Err(cause) => error_response(&cause),
    }
}

fn error_response(cause: &Error) -> Response {
    let status = match cause.kind() {
        ErrorKind::Input => StatusCode::BAD_REQUEST,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut text = cause.to_string();
    let mut source = cause.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    error(status, &text)
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

/// Returns whether the request is for a name of this machine. Another one in `Host` leads here where
/// a page's own name does.
fn is_for_this_machine(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    matches!(name, Some("127.0.0.1" | "localhost"))
}

/// Returns whether a browser sends the request for a page: no program else sends these headers.
fn comes_from_a_page(headers: &HeaderMap) -> bool {
    let mut of_a_page = [header::ORIGIN.as_str(), "sec-fetch-site"].into_iter();
    of_a_page.any(|name| headers.contains_key(name))
}

/// Compares digests, so that the time says nothing about the token.
fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(token))
}

pub(super) const PATH: &str = "/faults";
