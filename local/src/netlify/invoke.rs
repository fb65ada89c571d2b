//! What a site needs of a function: to be invoked with an event.

use crate::lambda::InvokeError;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;

/// An invocation under way: the function's answer, or why there is none.
pub type Invocation<'a> = Pin<Box<dyn Future<Output = Result<Bytes, InvokeError>> + Send + 'a>>;

/// Something that takes an event's JSON and answers with JSON.
///
/// The site runs each invocation in a task of its own, so an implementation is
/// not cancelled when the client disconnects, as on AWS Lambda.
pub trait Invoke: Send + Sync {
    /// Hands over one event and waits for the answer.
    fn invoke(&self, event: Bytes) -> Invocation<'_>;
}
