//! The endpoint by which `stagelink invoke` runs a function of a local stage with an event.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::Request;
use http::header::AUTHORIZATION;
use http_body_util::BodyExt as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{Server, bearer_token};
use crate::lambda::{InvokeError, PAYLOAD_LIMIT_BYTES, Payload};
use crate::requests::Trigger;
use crate::stage_functions::StageFunctions;
use crate::{Error, ErrorKind, http_client};

/// The running endpoint, on a free port of 127.0.0.1. A request needs its token: a page in a browser
/// can send requests to this machine, too.
pub(crate) struct InvokeApi {
    server: Server,
    token: String,
}

/// A stage whose functions can be invoked.
#[derive(Clone, Debug)]
pub(crate) struct InvokedStage {
    pub(crate) functions: Arc<StageFunctions>,
    /// Host of the stage's site with its port.
    pub(crate) authority: String,
}

/// A client of the endpoint, by its URL and token.
#[derive(Clone)]
pub struct InvokeClient {
    url: String,
    token: String,
}

/// The outcome of an invocation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InvokeReply {
    /// Id of the invocation's record.
    pub id: String,
    /// Method and path of the sample request that the function got, such as `GET /api/notes`, where it
    /// was invoked without an event and has no schedule.
    pub sample: Option<String>,
    /// The function's response, or the reason why there is none.
    pub response: Result<Value, String>,
}

#[derive(Clone)]
struct ApiState {
    stages: Arc<BTreeMap<String, InvokedStage>>,
    token: Arc<str>,
}

impl fmt::Debug for InvokeApi {
    /// Omits the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvokeApi")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl InvokeApi {
    /// Starts the endpoint for stages by their names.
    pub(crate) async fn start(stages: BTreeMap<String, InvokedStage>) -> Result<Self, Error> {
        let token = Uuid::new_v4().simple().to_string();
        let state = ApiState {
            stages: Arc::new(stages),
            token: token.as_str().into(),
        };
        let router = Router::new()
            .route(
                "/stages/{stage}/functions/{function}/invocations",
                post(invoke),
            )
            .with_state(state);
        let server = Server::start(0, router).await?;
        Ok(Self { server, token })
    }

    pub(crate) fn url(&self) -> &str {
        self.server.url()
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

impl InvokeReply {
    /// Returns an outcome. It is meant for tests.
    pub fn new(id: &str, response: Result<Value, String>) -> Self {
        Self {
            id: id.to_owned(),
            sample: None,
            response,
        }
    }
}

impl InvokeClient {
    /// Returns a client of the endpoint of a [`Cloud`](crate::Cloud).
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
        }
    }

    /// Invokes a function of a stage with a JSON event; without one as its schedule does, or with a
    /// sample GET request of its route.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] where there is no such stage or function, or the event is no JSON; [`ErrorKind::System`] where the endpoint does not answer.
    pub async fn invoke(
        &self,
        stage: &str,
        function: &str,
        event: Option<Vec<u8>>,
    ) -> Result<InvokeReply, Error> {
        let failed = |reason: &str| {
            let message = format!("could not invoke {function} of stage {stage}: {reason}");
            Error::new(ErrorKind::Input, message)
        };
        let [stage_name, name] =
            [stage, function].map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC));
        let path = format!("/stages/{stage_name}/functions/{name}/invocations");
        let request = Request::post(path)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(event.unwrap_or_default().into())
            .map_err(|cause| failed("invalid token").with_source(cause))?;
        let (head, body) = http_client::send(&self.url, request).await?.into_parts();
        let body = body.collect().await.map_err(|cause| {
            let message = format!("could not read the response of {function}");
            Error::new(ErrorKind::System, message).with_source(cause)
        })?;
        let mut body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        if !head.status.is_success() {
            return Err(failed(
                body["message"].as_str().unwrap_or(head.status.as_str()),
            ));
        }
        let response = match body["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(body["response"].take()),
        };
        Ok(InvokeReply {
            id: body["id"].as_str().unwrap_or_default().to_owned(),
            sample: body["sample"].as_str().map(str::to_owned),
            response,
        })
    }
}

impl fmt::Debug for InvokeClient {
    /// Omits the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvokeClient")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Invokes a function with the request's body as its event.
async fn invoke(
    State(state): State<ApiState>,
    Path((stage, function)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if bearer_token(&headers) != Some(&*state.token) {
        return refusal(
            StatusCode::UNAUTHORIZED,
            "the token is missing or another's",
        );
    }
    let Some(stage) = state.stages.get(&stage) else {
        let names: Vec<_> = state.stages.keys().map(String::as_str).collect();
        let known = names.join(" and ");
        let message = format!("there is no local stage {stage:?}: there are {known}");
        return refusal(StatusCode::NOT_FOUND, &message);
    };
    let names = stage.functions.names();
    if !names.contains(&function) {
        let known = names.join(", ");
        let message = format!("there is no function {function:?}: there are {known}");
        return refusal(StatusCode::NOT_FOUND, &message);
    }
    let Ok(payload) = Payload::read(body, PAYLOAD_LIMIT_BYTES).await else {
        return refusal(StatusCode::BAD_REQUEST, "the event did not arrive whole");
    };
    let event = match payload.into_event() {
        Ok(event) => (!event.is_empty()).then_some(event),
        Err(error) => return refusal(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()),
    };
    if event
        .as_ref()
        .is_some_and(|event| serde_json::from_slice::<Value>(event).is_err())
    {
        return refusal(StatusCode::BAD_REQUEST, "the event is no JSON");
    }
    // A task of its own: the invocation goes on when the command is ended.
    let authority = stage.authority.clone();
    let functions = Arc::clone(&stage.functions);
    let invoked = tokio::spawn(async move {
        functions
            .invoke(&function, Trigger::Invoke, event, &authority)
            .await
    });
    match invoked.await {
        Ok(Some(invoked)) => {
            let mut body = json!({ "id": invoked.id, "sample": invoked.sample });
            match invoked.response {
                Ok(response) => {
                    body["response"] = serde_json::from_slice(&response).unwrap_or_default();
                }
                Err(InvokeError::Function {
                    error_type,
                    error_message,
                }) => body["error"] = format!("{error_type}: {error_message}").into(),
                Err(other) => body["error"] = other.to_string().into(),
            }
            Json(body).into_response()
        }
        Ok(None) => refusal(StatusCode::NOT_FOUND, "the function has gone"),
        Err(_) => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the local platform failed",
        ),
    }
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
