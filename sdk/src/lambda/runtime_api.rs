//! The loop around the Lambda Runtime API: it takes one invocation after the other.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use lambda_http::lambda_runtime::{Config, Diagnostic, LambdaInvocation};
use serde_json::json;
use tokio::task::JoinSet;
use tower_service::Service;

use crate::lambda::adapter::EventRefused;
use crate::lambda::invocation_context::invocation_context;
use crate::local_spans;
use crate::log_line::with_causes;
use crate::provider::{Connector, RequestBody};

pub(super) type BoxError = lambda_http::Error;

/// The body of a request to the Runtime API.
pub(super) type ApiBody = RequestBody;

/// A client of the Lambda Runtime API.
///
/// It takes the next invocation and sends its response over one connection. `lambda_runtime`'s own
/// loop ends the process at a header that it cannot read, and leaves that invocation without a
/// response; its client would be a second one, with a connection of its own.
#[derive(Clone)]
pub(super) struct RuntimeApi {
    client: Client<Connector, ApiBody>,
    address: String,
    config: Arc<Config>,
}

impl RuntimeApi {
    /// Makes a client without a connection. The address may be a URL and have a path, as that of
    /// cargo-lambda's emulator.
    pub(super) fn new(address: &str) -> Self {
        Self::with_config(address, Config::from_env())
    }

    pub(super) fn with_config(address: &str, config: Config) -> Self {
        let address = address.strip_prefix("http://").unwrap_or(address);
        Self {
            client: Client::builder(TokioExecutor::new()).build(Connector::plain()),
            address: address.trim_end_matches('/').to_owned(),
            config: Arc::new(config),
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

    /// Serves several invocations at a time, until the Runtime API has failed each worker for ten
    /// seconds.
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
        let mut failures = 0;
        loop {
            let worked = match self.next().await {
                Ok(invocation) => self.answer(&mut service, invocation).await,
                Err(error) => Err(error),
            };
            match worked {
                Ok(()) => failures = 0,
                Err(error) if failures >= MOST_FAILURES => return Err(error),
                Err(error) => {
                    failures += 1;
                    let error = with_causes(&*error).to_string();
                    tracing::warn!(%error, "a request to the Lambda Runtime API failed");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn next(&self) -> Result<LambdaInvocation, BoxError> {
        loop {
            let (parts, body) = self.get("invocation/next").await?;
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
        let delivery = Self::delivery(&invocation.parts.headers);
        let answered = async {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(invocation).await
        };
        let reason = match AssertUnwindSafe(answered).catch_unwind().await {
            Ok(Ok(())) => {
                self.report_spans(&request_id).await;
                return Ok(());
            }
            Ok(Err(error)) => with_causes(&*error).to_string(),
            Err(_) => "a panic".to_owned(),
        };
        tracing::error!(reason = ?reason, "an invocation could not be answered");
        self.report(&request_id, delivery, FAILED, FAILED_MESSAGE)
            .await
    }

    /// Tells the local cloud where the time of an invocation went, if it asked for that.
    async fn report_spans(&self, request_id: &str) {
        let Some(report) = local_spans::take_report() else {
            return;
        };
        let uri = format!(
            "http://{}/stagelink/invocation/{request_id}/spans",
            self.address
        );
        let body = Full::from(report.to_string()).boxed_unsync();
        if let Ok(request) = Request::post(uri).body(body) {
            // A runtime that does not know the report refuses it, which changes nothing.
            self.client.request(request).await.ok();
        }
    }

    /// Returns the id of a delivery of an invocation, which its response repeats.
    pub(super) fn delivery(headers: &HeaderMap) -> Option<HeaderValue> {
        headers.get(INVOCATION_ID).cloned()
    }

    /// Sends the response to an invocation.
    pub(super) async fn reply(
        &self,
        request_id: &str,
        delivery: Option<HeaderValue>,
        mut headers: HeaderMap,
        body: ApiBody,
    ) -> Result<(), BoxError> {
        headers.extend(delivery.map(|delivery| (INVOCATION_ID_NAME, delivery)));
        let path = format!("invocation/{request_id}/response");
        let (parts, _) = self.post(&path, headers, body).await?;
        if !parts.status.is_success() {
            tracing::error!(status = %parts.status, "the Lambda Runtime API refused a response");
        }
        Ok(())
    }

    /// Reports that an invocation has failed.
    pub(super) async fn report(
        &self,
        request_id: &str,
        delivery: Option<HeaderValue>,
        kind: &str,
        message: &str,
    ) -> Result<(), BoxError> {
        let mut headers = HeaderMap::new();
        headers.extend(delivery.map(|delivery| (INVOCATION_ID_NAME, delivery)));
        let path = format!("invocation/{request_id}/error");
        self.post_error(&path, headers, kind, message).await
    }

    /// Reports that the function does not answer this event, and logs the reason.
    pub(super) async fn refuse(
        &self,
        request_id: &str,
        delivery: Option<HeaderValue>,
        refused: EventRefused,
    ) -> Result<(), BoxError> {
        tracing::error!("{refused:?}");
        let Diagnostic {
            error_type,
            error_message,
        } = refused.into();
        self.report(request_id, delivery, &error_type, &error_message)
            .await
    }

    /// Waits for the restore from a snapshot.
    pub(super) async fn wait_for_restore(&self) -> Result<(), BoxError> {
        let response = self.get("restore/next").await;
        let failure: BoxError = match response {
            Ok((parts, _)) if parts.status.is_success() => return Ok(()),
            Ok((parts, _)) => format!("no restore from the snapshot: {}", parts.status).into(),
            Err(error) => error,
        };
        self.post_error("init/error", HeaderMap::new(), FAILED, FAILED_MESSAGE)
            .await
            .ok();
        Err(failure)
    }

    async fn get(&self, path: &str) -> Result<(Parts, Bytes), BoxError> {
        let body = Full::default().boxed_unsync();
        self.send(Method::GET, path, HeaderMap::new(), body).await
    }

    async fn post(
        &self,
        path: &str,
        headers: HeaderMap,
        body: ApiBody,
    ) -> Result<(Parts, Bytes), BoxError> {
        self.send(Method::POST, path, headers, body).await
    }

    /// Reports that the function failed, in words that its caller may read.
    async fn post_error(
        &self,
        path: &str,
        mut headers: HeaderMap,
        kind: &str,
        message: &str,
    ) -> Result<(), BoxError> {
        let error_type = HeaderName::from_static("lambda-runtime-function-error-type");
        headers.insert(error_type, HeaderValue::from_str(kind)?);
        let body = json!({"errorType": kind, "errorMessage": message}).to_string();
        let body = Full::from(body).boxed_unsync();
        self.post(path, headers, body).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: ApiBody,
    ) -> Result<(Parts, Bytes), BoxError> {
        let uri = format!("http://{}/2018-06-01/runtime/{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri).body(body)?;
        request.headers_mut().extend(headers);
        let response = self.client.request(request).await?;
        let (parts, body) = response.into_parts();
        Ok((parts, body.collect().await?.to_bytes()))
    }
}

const INVOCATION_ID: &str = "lambda-runtime-invocation-id";
const INVOCATION_ID_NAME: HeaderName = HeaderName::from_static(INVOCATION_ID);

const FAILED: &str = "stagelink.Failed";
const FAILED_MESSAGE: &str = "the function failed; the reason is in its log";

/// The pause of a worker between two tries to reach the Runtime API.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Failures in a row that a worker bears: ten seconds of them.
const MOST_FAILURES: u32 = 100;

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use tokio::time::Instant;

    use super::*;

    /// A service that is called by no test.
    #[derive(Clone)]
    struct Unused;

    impl Service<LambdaInvocation> for Unused {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Ready<Result<(), BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: LambdaInvocation) -> Self::Future {
            unreachable!("there is no invocation")
        }
    }

    fn api(address: &str) -> RuntimeApi {
        RuntimeApi::with_config(address, Config::default())
    }

    #[test]
    fn address_may_be_a_url() {
        for address in [
            "127.0.0.1:9001",
            "http://127.0.0.1:9001",
            "http://127.0.0.1:9001/",
        ] {
            assert_eq!(api(address).address, "127.0.0.1:9001");
        }
        let of_emulator = api("http://127.0.0.1:9000/shop");
        assert_eq!(of_emulator.address, "127.0.0.1:9000/shop");
    }

    #[tokio::test(start_paused = true)]
    async fn workers_bear_an_api_that_is_away_for_seconds_and_no_longer() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        drop(taken);
        let began = Instant::now();
        let ended = api(&address).serve_concurrently(Unused, 2).await;
        ended.unwrap_err();
        assert!(began.elapsed() >= Duration::from_secs(10));
    }
}
