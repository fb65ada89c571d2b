//! The relay by which local functions find the remote stage's database.
//!
//! It answers one question of Heroku's API, the config vars of the stage's app, with one URL. For each answer the
//! database is looked up through the real provider, and the credential is proved again: a rotation reaches the
//! functions, and a credential that may write does not. The operator's token stays in this process.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use stagelink::ErrorKind as SdkErrorKind;
use stagelink_local::api::Server;
use stagelink_local_postgres::random_password;
use stagelink_pipeline::{Error, ErrorKind, RemoteDatabase};
use tokio::sync::{Mutex, watch};

use super::stage::OpenedStage;
use super::variables;
use crate::output::{note, note_error};
use crate::remote_facts::RemoteFacts;

/// The running relay, on a free port of 127.0.0.1.
pub(super) struct CredentialRelay {
    server: Server,
    variables: BTreeMap<String, String>,
    facts: watch::Receiver<RemoteFacts>,
}

struct RelayState {
    token: String,
    app: String,
    /// One look-up at a time: each one takes a connection of the database.
    database: Mutex<RemoteDatabase>,
    last: std::sync::Mutex<Last>,
    facts: watch::Sender<RemoteFacts>,
}

/// The last answer.
struct Last {
    url: SecretString,
    generation: u64,
    /// The error that was noted last, so that each is noted once in a row.
    error: Option<String>,
}

impl CredentialRelay {
    /// Starts the relay of a stage.
    ///
    /// # Errors
    ///
    /// When there is no free port.
    pub(super) async fn start(stage: OpenedStage) -> anyhow::Result<Self> {
        let token = random_password();
        let (facts, receiver) = watch::channel(RemoteFacts::of(&stage.first, &stage.app, 1));
        let state = Arc::new(RelayState {
            token: token.clone(),
            app: stage.app.clone(),
            database: Mutex::new(stage.database),
            last: std::sync::Mutex::new(Last {
                url: stage.first.url,
                generation: 1,
                error: None,
            }),
            facts,
        });
        let routes = Router::new()
            .route("/apps/{app}/config-vars", get(config_vars))
            .with_state(state);
        let server = Server::start(0, routes)
            .await
            .context("could not start the relay of the remote stage's credentials")?;
        let variables = variables::of_functions(
            stage.stage,
            &stage.app,
            server.url(),
            &token,
            &stage.server_variables,
        );
        Ok(Self {
            server,
            variables,
            facts: receiver,
        })
    }

    /// The variables of the functions.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        self.variables.clone()
    }

    /// The facts of the database, as they were looked up last.
    pub(super) fn facts(&self) -> watch::Receiver<RemoteFacts> {
        self.facts.clone()
    }

    pub(super) async fn stop(self) {
        self.server.stop().await;
    }
}

/// Answers as Heroku does, with the one config var.
async fn config_vars(
    State(relay): State<Arc<RelayState>>,
    Path(app): Path<String>,
    headers: HeaderMap,
) -> Response {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    if bearer != Some(&relay.token) {
        return refusal(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "the token is not that of the relay",
        );
    }
    if app != relay.app {
        return refusal(
            StatusCode::NOT_FOUND,
            "not_found",
            "the relay knows only another app",
        );
    }
    let found = {
        let database = relay.database.lock().await;
        database.look_up().await
    };
    match found {
        Ok(access) => {
            let mut last = relay.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.error = None;
            if last.url.expose_secret() != access.url.expose_secret() {
                last.url = access.url.clone();
                last.generation += 1;
                note("  the stage's credentials have changed: functions get the new ones");
                relay
                    .facts
                    .send_replace(RemoteFacts::of(&access, &relay.app, last.generation));
            }
            drop(last);
            Json(json!({ "DATABASE_URL": access.url.expose_secret() })).into_response()
        }
        Err(error) => relay.refuse(error),
    }
}

impl RelayState {
    /// Answers with the failure of a look-up, which the terminal shows.
    fn refuse(&self, error: Error) -> Response {
        let (status, id, retry_after) = status_of(&error);
        let message = error.headline();
        let mut response = refusal(status, id, &message);
        if let Some(seconds) = retry_after {
            response
                .headers_mut()
                .insert(RETRY_AFTER, seconds.as_secs().max(1).into());
        }
        let error = anyhow::Error::from(error);
        let text = format!("{error:#}");
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.error.as_ref() != Some(&text) {
            note_error(&error.context("the local functions get no database of the remote stage"));
            last.error = Some(text);
        }
        response
    }
}

/// Returns the status with which Heroku would answer, so that the SDK reacts as it does to Heroku.
fn status_of(error: &Error) -> (StatusCode, &'static str, Option<Duration>) {
    let mut causes =
        std::iter::successors(std::error::Error::source(error), |error| error.source());
    let cause = causes.find_map(|cause| cause.downcast_ref::<stagelink::Error>());
    let of_sdk = cause.map(stagelink::Error::kind);
    match (error.kind(), of_sdk) {
        (_, Some(SdkErrorKind::RateLimited)) => (
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit",
            cause.and_then(stagelink::Error::retry_after),
        ),
        (_, Some(kind)) if is_final(kind) => (StatusCode::FORBIDDEN, "forbidden", None),
        (ErrorKind::Isolation | ErrorKind::Settings, None) => {
            (StatusCode::FORBIDDEN, "forbidden", None)
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", None),
    }
}

/// Returns whether only a person can change what a look-up has found.
fn is_final(kind: SdkErrorKind) -> bool {
    matches!(
        kind,
        SdkErrorKind::ProviderRefused
            | SdkErrorKind::App
            | SdkErrorKind::DatabaseUrl
            | SdkErrorKind::Settings
            | SdkErrorKind::WrongDatabase
            | SdkErrorKind::ServerNotAuthenticated
    )
}

fn refusal(status: StatusCode, id: &str, message: &str) -> Response {
    (status, Json(json!({ "id": id, "message": message }))).into_response()
}
