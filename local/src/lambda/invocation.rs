//! One invocation: an event on its way to an instance, and the channel for the response.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use uuid::Uuid;

use super::invoke_error::InvokeError;
use super::observer::InvocationObserver;

/// An event that has a permit to run, and the caller that waits for the response.
pub(super) struct Invocation {
    /// The event; `None` only has the instance finish its INIT.
    pub(super) event: Option<Bytes>,
    pub(super) request_id: String,
    /// ARN of the invoked function, with the alias or version of this invocation.
    pub(super) arn: HeaderValue,
    pub(super) client_context: Option<HeaderValue>,
    /// Receives the chunks of a streamed response as they come, if the caller wants them.
    pub(super) chunks: Option<mpsc::Sender<Bytes>>,
    pub(super) observer: Option<Arc<dyn InvocationObserver>>,
    caller: oneshot::Sender<Result<Bytes, InvokeError>>,
    permit: OwnedSemaphorePermit,
}

/// The wishes of the caller of an invocation.
#[derive(Default)]
pub(super) struct Caller<'a> {
    /// Alias or version, instead of the configuration's.
    pub(super) qualifier: Option<&'a str>,
    pub(super) client_context: Option<HeaderValue>,
    /// Receives the chunks of a streamed response as they come.
    pub(super) chunks: Option<mpsc::Sender<Bytes>>,
    pub(super) observer: Option<Arc<dyn InvocationObserver>>,
}

/// An error that a function reports.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct FunctionError {
    pub(super) error_type: String,
    pub(super) error_message: String,
}

impl Invocation {
    pub(super) fn new(
        event: Option<Bytes>,
        arn: HeaderValue,
        wishes: Caller<'_>,
        permit: OwnedSemaphorePermit,
    ) -> (Self, oneshot::Receiver<Result<Bytes, InvokeError>>) {
        let (caller, response) = oneshot::channel();
        let invocation = Self {
            event,
            request_id: Uuid::new_v4().to_string(),
            arn,
            client_context: wishes.client_context,
            chunks: wishes.chunks,
            observer: wishes.observer,
            caller,
            permit,
        };
        (invocation, response)
    }

    /// Returns the permit to the queue, then sends the response. The caller may have gone away.
    pub(super) fn finish(self, response: Result<Bytes, InvokeError>) {
        drop(self.permit);
        let _ = self.caller.send(response);
    }
}

impl FunctionError {
    /// Text of the error for the function's log.
    pub(super) fn log_line(&self) -> String {
        format!("Error: {}: {}", self.error_type, self.error_message)
    }
}

impl From<FunctionError> for InvokeError {
    fn from(error: FunctionError) -> Self {
        let FunctionError {
            error_type,
            error_message,
        } = error;
        Self::Function {
            error_type,
            error_message,
        }
    }
}

impl std::fmt::Debug for FunctionError {
    /// Omits the message, which may quote a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionError")
            .field("error_type", &self.error_type)
            .finish_non_exhaustive()
    }
}

/// The largest event and the largest buffered response that Lambda accepts, in bytes: 6 MB and
/// the 100 bytes that it adds in its own error messages.
pub(crate) const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024 + 100;
