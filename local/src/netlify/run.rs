//! The run of a function for a request: its response, whole or as it is streamed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::files::{self, ResponseBody};
use super::invoke::Invoke;
use super::response;
use crate::lambda::{InvocationObserver, InvokeError, InvokeOptions, stream_head};
use crate::requests::ActiveRequest;

/// An invocation in a task of its own: the request's future ends when the client disconnects, an
/// invocation does not.
type Invocation = JoinHandle<Result<Bytes, InvokeError>>;

/// Invokes a function, and returns its response when it is known. A streamed response begins with
/// its head, and its body follows as the function sends it.
pub(super) async fn response_of(
    name: &str,
    function: Arc<dyn Invoke>,
    event: Bytes,
    active: Option<Arc<ActiveRequest>>,
) -> Response<ResponseBody> {
    // While the client does not read, the function's next chunk waits, as on Lambda.
    let (sender, mut chunks) = mpsc::channel(1);
    let observer = active.clone();
    let options = InvokeOptions {
        observer: observer.map(|observer| observer as Arc<dyn InvocationObserver>),
        chunks: Some(sender),
    };
    let invocation = tokio::spawn(async move { function.invoke_with(event, options).await });

    let mut start = BytesMut::new();
    while let Some(chunk) = chunks.recv().await {
        if start.len() > MAX_PRELUDE_BYTES {
            continue;
        }
        start.extend_from_slice(&chunk);
        let Some((head, length)) = stream_head(&start) else {
            continue;
        };
        let (head, is_valid) = response::from_head(head);
        if !is_valid {
            // The function goes on, and what it sends is dropped.
            return head.map(files::full_body);
        }
        let body = StreamedBody {
            first: Some(start.split_off(length).freeze()),
            chunks,
            invocation: Some(invocation),
            active,
        };
        if let Some(active) = &body.active {
            active.begin_stream();
        }
        return head.map(|_| body.boxed_unsync());
    }
    let response = match invocation.await {
        Ok(result) => {
            if let (Some(active), Err(error)) = (&active, &result) {
                active.failed(error);
            }
            response::from_invocation(result)
        }
        Err(error) => {
            tracing::error!(function = name, %error, "an invocation panicked");
            let message = "the local platform failed to run the function";
            response::error_response(StatusCode::BAD_GATEWAY, "Platform.Error", message)
        }
    };
    response.map(files::full_body)
}

/// The body of a streamed response. It breaks off where the function does.
struct StreamedBody {
    first: Option<Bytes>,
    chunks: mpsc::Receiver<Bytes>,
    invocation: Option<Invocation>,
    active: Option<Arc<ActiveRequest>>,
}

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take().filter(|first| !first.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(chunk) = ready!(this.chunks.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        let Some(invocation) = &mut this.invocation else {
            return Poll::Ready(None);
        };
        let ended = ready!(Pin::new(invocation).poll(cx));
        this.invocation = None;
        let active = this.active.take();
        if let (Some(active), Ok(Err(error))) = (&active, &ended) {
            active.failed(error);
        }
        if let Some(active) = active {
            active.end_stream();
        }
        Poll::Ready(match ended {
            Ok(Ok(_)) => None,
            Ok(Err(_)) | Err(_) => Some(Err(broken_off())),
        })
    }
}

/// The error that closes the connection: the client sees a response that is not whole.
fn broken_off() -> io::Error {
    io::Error::other("the function broke off its streamed response")
}

/// The longest prelude of a streamed response, with its delimiter: more than headers may have.
const MAX_PRELUDE_BYTES: usize = 64 * 1024;
