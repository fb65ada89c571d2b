//! A function with streamed responses in the process of its test.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use lambda_http::lambda_runtime::{Config, Diagnostic};
use lambda_http::{LambdaEvent, Request};
use tokio::sync::{Mutex, mpsc};
use tower_service::Service;

use crate::database::{Database, Databases};
use crate::lambda::IntoService;
use crate::lambda::adapter::{Streams, StreamsReply};
use crate::lambda::event::Payload;
use crate::lambda::invocation_context::invocation_context;
use crate::lambda::response_json::make_utf8;
use crate::lambda::self_check::SelfChecks;
use crate::lambda::streamed_body::Streamed;
use crate::lambda::streaming::Streaming;

type BoxError = Box<dyn StdError + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A function in the process of its test whose responses are streamed: a handler with all that
/// [`run_with_streaming_response`](crate::run_with_streaming_response) puts around it, but for the requests to
/// the Lambda Runtime API.
///
/// It serves one invocation at a time: the next begins when the response is read or dropped, and the work of its
/// invocation is finished. Clones are the same function.
#[derive(Clone)]
pub struct InProcessStreamingFunction {
    call: Arc<Mutex<Call>>,
}

type Call = dyn FnMut(LambdaEvent<Payload>) -> BoxFuture<Result<Begun, String>> + Send;

/// A response whose body waits for its reader, and the work that produces it.
type Begun = (InProcessResponse, BoxFuture<()>);

/// A response that a function streams. Dropping it breaks the body off, as a client does that goes.
#[derive(Debug)]
#[non_exhaustive]
pub struct InProcessResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    parts: mpsc::Receiver<Result<Bytes, String>>,
}

impl InProcessResponse {
    /// Waits for the next part of the body, as the handler sends it; `None` at the end. The handler waits for its
    /// reader, but for one part.
    ///
    /// # Errors
    ///
    /// The words, which a client may read, with which a body was broken off. There is no part behind them.
    pub async fn part(&mut self) -> Result<Option<Bytes>, String> {
        self.parts.recv().await.transpose()
    }
}

impl InProcessStreamingFunction {
    /// Makes the function that `stagelink::run_with_streaming_response(handler)` serves, with this database.
    pub fn new<H, M, B>(handler: H, database: &Database) -> Self
    where
        H: IntoService<M>,
        H::Service: Service<Request, Response = Response<B>> + Send + 'static,
        <H::Service as Service<Request>>::Error: Into<BoxError> + Send + 'static,
        <H::Service as Service<Request>>::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Into<Bytes>,
        B::Error: Into<BoxError>,
    {
        let databases = Databases::from(database.clone());
        let self_checks = SelfChecks::new(None, &databases);
        let service = Streaming::new(handler.into_service(), &databases);
        let mut streams = Streams::new(service, &self_checks);
        let call = move |event| -> BoxFuture<Result<Begun, String>> {
            let answered = streams.call(event);
            Box::pin(async move {
                match answered.await {
                    Ok(StreamsReply::Response(response)) => Ok(begin(*response)),
                    Ok(StreamsReply::Report(_)) => Err("a self-check has no response".to_owned()),
                    Err(refused) => Err(Diagnostic::from(refused).error_message),
                }
            })
        };
        Self {
            call: Arc::new(Mutex::new(call)),
        }
    }

    /// Invokes the function with an event, and the headers that the Lambda Runtime API sends with it. Returns when
    /// the handler has given its status and headers.
    ///
    /// # Errors
    ///
    /// The message that the caller of an invocation gets that has failed.
    pub async fn invoke(
        &self,
        event: &str,
        headers: &HeaderMap,
    ) -> Result<InProcessResponse, String> {
        let payload: Payload = serde_json::from_str(event)
            .map_err(|error| format!("the event is no JSON: {error}"))?;
        let context = invocation_context(headers, &Arc::new(Config::default()))
            .ok_or("the header lambda-runtime-aws-request-id is missing")?;
        let mut call = Arc::clone(&self.call).lock_owned().await;
        let (response, work) = call(LambdaEvent::new(payload, context)).await?;
        tokio::spawn(async move {
            work.await;
            // The instance is free for the next invocation.
            drop(call);
        });
        Ok(response)
    }
}

/// Splits a response into the part for its reader, and the work that hands the body over.
fn begin<B>(response: Response<Streamed<B>>) -> Begun
where
    B: Body + Send + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    let (mut head, streamed) = response.into_parts();
    make_utf8(&mut head.headers);
    let (sender, parts) = mpsc::channel(1);
    let (mut body, supervisor) = streamed.split();
    let reply = async move {
        loop {
            // A reader that has gone is noticed though the handler sends nothing.
            let frame = match select(body.frame(), pin!(sender.closed())).await {
                Either::Left((Some(frame), _)) => frame,
                Either::Left((None, _)) | Either::Right(_) => return,
            };
            let part = match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => Ok(data),
                // Trailers of a handler's reach no client.
                Ok(Err(_)) => continue,
                Err(broken) => Err(broken.to_string()),
            };
            if sender.send(part).await.is_err() {
                return;
            }
        }
    };
    let work: BoxFuture<()> = match supervisor {
        None => Box::pin(reply),
        Some(supervisor) => Box::pin(async move {
            let _ = supervisor.supervise(reply).await;
        }),
    };
    let response = InProcessResponse {
        status: head.status,
        headers: head.headers,
        parts,
    };
    (response, work)
}

impl fmt::Debug for InProcessStreamingFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessStreamingFunction")
            .finish_non_exhaustive()
    }
}
