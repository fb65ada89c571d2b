//! The loop around the Lambda Runtime API: it takes one invocation after the other.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::response::Parts;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lambda_http::lambda_runtime::{Config, LambdaInvocation, Runtime};
use lambda_http::tower::Layer;
use serde_json::json;
use tokio::task::JoinSet;
use tower_service::Service;

use crate::lambda::invocation_context::invocation_context;

type BoxError = lambda_http::Error;

/// A client of the Lambda Runtime API.
///
/// `lambda_runtime` calls the handler and reports its response. The next invocation is taken here:
/// its own loop ends the process at a header that it cannot read, and leaves that invocation
/// without a response.
#[derive(Clone)]
pub(super) struct RuntimeApi {
    client: Client<HttpConnector, Full<Bytes>>,
    address: String,
    config: Arc<Config>,
}

impl RuntimeApi {
    /// Makes a client without a connection. The address may be a URL and have a path, as that of
    /// cargo-lambda's emulator.
    pub(super) fn new(address: impl Into<String>) -> Self {
        let address = address.into();
        let address = address.strip_prefix("http://").unwrap_or(&address);
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            address: address.trim_end_matches('/').to_owned(),
            config: Arc::new(Config::from_env()),
        }
    }

    /// Serves invocations, one at a time, until the Runtime API fails.
    pub(super) async fn serve<S>(self, mut service: S) -> Result<(), BoxError>
    where
        S: Service<LambdaInvocation, Response = (), Error = BoxError>,
    {
        loop {
            let invocation = self.next().await?;
            self.answer(&mut service, invocation).await?;
        }
    }

    /// Serves several invocations at a time, until the Runtime API has failed each worker.
    pub(super) async fn serve_concurrently<S>(
        self,
        service: S,
        workers: usize,
    ) -> Result<(), BoxError>
    where
        S: Service<LambdaInvocation, Response = (), Error = BoxError> + Clone + Send + 'static,
        S::Future: Send,
    {
        if workers == 1 {
            return self.serve(service).await;
        }
        let mut all = JoinSet::new();
        for _ in 0..workers {
            let (api, service) = (self.clone(), service.clone());
            all.spawn(api.work(service));
        }
        let mut last = Ok(());
        while let Some(ended) = all.join_next().await {
            last = ended.map_err(BoxError::from).and_then(|ended| ended);
        }
        last
    }

    async fn work<S>(self, mut service: S) -> Result<(), BoxError>
    where
        S: Service<LambdaInvocation, Response = (), Error = BoxError>,
    {
        loop {
            match self.next().await {
                Ok(invocation) => self.answer(&mut service, invocation).await?,
                Err(error) => {
                    tracing::warn!(%error, "could not take the next event");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn next(&self) -> Result<LambdaInvocation, BoxError> {
        loop {
            let (parts, body) = self.send(Method::GET, "invocation/next", None).await?;
            // An emulator has no event yet.
            if parts.status == StatusCode::NO_CONTENT {
                continue;
            }
            if !parts.status.is_success() {
                let status = parts.status;
                return Err(format!("the Lambda Runtime API gave no event: {status}").into());
            }
            let context = invocation_context(&parts.headers, &self.config)
                .ok_or("the Lambda Runtime API gave an event without a request id")?;
            return Ok(LambdaInvocation {
                parts,
                body,
                context,
            });
        }
    }

    /// Has the service answer an invocation. Where it cannot, the invocation fails, and the next
    /// one comes.
    async fn answer<S>(&self, service: &mut S, invocation: LambdaInvocation) -> Result<(), BoxError>
    where
        S: Service<LambdaInvocation, Response = (), Error = BoxError>,
    {
        let request_id = invocation.context.request_id.clone();
        let delivery = invocation.parts.headers.get(INVOCATION_ID).cloned();
        let answered = async {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(invocation).await
        };
        let reason = match AssertUnwindSafe(answered).catch_unwind().await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a panic".to_owned(),
        };
        tracing::error!(reason = ?reason, "an invocation could not be answered");
        let path = format!("invocation/{request_id}/error");
        self.send(Method::POST, &path, delivery).await.map(drop)
    }

    /// Waits for the restore from a snapshot.
    pub(super) async fn wait_for_restore(&self) -> Result<(), BoxError> {
        let response = self.send(Method::GET, "restore/next", None).await;
        let failure: BoxError = match response {
            Ok((parts, _)) if parts.status.is_success() => return Ok(()),
            Ok((parts, _)) => format!("no restore from the snapshot: {}", parts.status).into(),
            Err(error) => error,
        };
        self.send(Method::POST, "init/error", None).await.ok();
        Err(failure)
    }

    /// Sends a request; one by `POST` reports that the function failed.
    async fn send(
        &self,
        method: Method,
        path: &str,
        delivery: Option<HeaderValue>,
    ) -> Result<(Parts, Bytes), BoxError> {
        let uri = format!("http://{}/2018-06-01/runtime/{path}", self.address);
        let mut request = Request::builder().method(&method).uri(uri);
        if let Some(delivery) = delivery {
            request = request.header(INVOCATION_ID, delivery);
        }
        let body = match method {
            Method::POST => {
                request = request.header("lambda-runtime-function-error-type", FAILED);
                let message = "the function failed; the reason is in its log";
                json!({"errorType": FAILED, "errorMessage": message}).to_string()
            }
            _ => String::new(),
        };
        let response = self.client.request(request.body(body.into())?).await?;
        let (parts, body) = response.into_parts();
        Ok((parts, body.collect().await?.to_bytes()))
    }
}

/// Takes the service out of a runtime, which has made it around a handler.
pub(super) fn into_service<S>(runtime: Runtime<S>) -> S {
    let slot = RefCell::new(None);
    drop(runtime.layer(Take(&slot)));
    slot.into_inner()
        .expect("layer() passes its service to the layer")
}

struct Take<'a, S>(&'a RefCell<Option<S>>);

impl<S> Layer<S> for Take<'_, S> {
    type Service = Taken;

    fn layer(&self, service: S) -> Taken {
        self.0.replace(Some(service));
        Taken
    }
}

/// The service of a runtime whose own service was taken: it serves nothing.
struct Taken;

impl Service<LambdaInvocation> for Taken {
    type Response = ();
    type Error = BoxError;
    type Future = std::future::Pending<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Pending
    }

    fn call(&mut self, _: LambdaInvocation) -> Self::Future {
        std::future::pending()
    }
}

const INVOCATION_ID: &str = "lambda-runtime-invocation-id";

const FAILED: &str = "stagelink.Failed";

/// The pause of a worker between two tries to reach the Runtime API.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
