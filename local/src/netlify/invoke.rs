//! The interface between a site and its functions.

use crate::lambda::{Function, InvokeError, InvokeOptions};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;

/// Future of an invocation's response.
pub type InvocationFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Bytes, InvokeError>> + Send + 'a>>;

/// A function that a site can invoke with a JSON event.
///
/// As on AWS Lambda, an invocation is not cancelled when the client disconnects: the site runs each
/// invocation in a task of its own.
pub trait Invoke: Send + Sync {
    /// Invokes the function with an event and returns its JSON response.
    fn invoke(&self, event: Bytes) -> InvocationFuture<'_>;

    /// Invokes the function with an observer, and with a channel for the chunks of a streamed
    /// response. By default it has neither.
    fn invoke_with(&self, event: Bytes, _options: InvokeOptions) -> InvocationFuture<'_> {
        self.invoke(event)
    }
}

impl Invoke for Function {
    fn invoke(&self, event: Bytes) -> InvocationFuture<'_> {
        Box::pin(self.invoke(event))
    }

    fn invoke_with(&self, event: Bytes, options: InvokeOptions) -> InvocationFuture<'_> {
        Box::pin(self.invoke_with(event, options))
    }
}
