//! One event on its way to an instance, and back as an answer.

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use uuid::Uuid;

use super::invoke_error::InvokeError;

/// An event that has its place among those that run, and the caller who waits
/// for its answer, if it still does.
pub(super) struct Invocation {
    /// What the function gets; nothing, to have an instance past its INIT.
    pub(super) event: Option<Bytes>,
    pub(super) request_id: String,
    /// By which it was invoked: with an alias, a version or nothing at its end.
    pub(super) arn: HeaderValue,
    /// Where the parts of a streamed answer go as they come, if somebody wants them.
    pub(super) parts: Option<mpsc::Sender<Bytes>>,
    caller: oneshot::Sender<Result<Bytes, InvokeError>>,
    place: OwnedSemaphorePermit,
}

/// What a function says when it fails.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct FunctionError {
    pub(super) error_type: String,
    pub(super) error_message: String,
}

impl Invocation {
    pub(super) fn new(
        event: Option<Bytes>,
        arn: HeaderValue,
        parts: Option<mpsc::Sender<Bytes>>,
        place: OwnedSemaphorePermit,
    ) -> (Self, oneshot::Receiver<Result<Bytes, InvokeError>>) {
        let (caller, answer) = oneshot::channel();
        let invocation = Self {
            event,
            request_id: Uuid::new_v4().to_string(),
            arn,
            parts,
            caller,
            place,
        };
        (invocation, answer)
    }

    /// Gives the place to the next in line, then the answer to the caller, who
    /// may be gone.
    pub(super) fn end(self, answer: Result<Bytes, InvokeError>) {
        drop(self.place);
        let _ = self.caller.send(answer);
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
    /// Keeps the message, which may quote a secret, to itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionError")
            .field("error_type", &self.error_type)
            .finish_non_exhaustive()
    }
}

/// The largest event and the largest buffered answer that Lambda takes, in
/// bytes: 6 MB and the 100 bytes that it adds in its own error messages.
pub(super) const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024 + 100;
