//! The handle of a function, for invoking it and shutting it down.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::mpsc;

use super::config::FunctionConfig;
use super::invocation::{Caller, PAYLOAD_LIMIT_BYTES};
use super::invoke_error::InvokeError;
use super::observer::InvokeOptions;
use super::pool::Pool;
use crate::{Error, ErrorKind};

/// A function that can be invoked. Clones share the instances.
///
/// Dropping the last clone ends the instances as [`shutdown`](Function::shutdown) does, without
/// waiting for their end.
#[derive(Clone, Debug)]
pub struct Function {
    pool_guard: Arc<PoolGuard>,
    /// Overrides the configuration's qualifier.
    qualifier: Option<String>,
    /// Client context of each invocation.
    client_context: Option<HeaderValue>,
}

/// Closes the pool when the last handle is dropped. The instances hold the pool, too, so the
/// pool's own drop comes too late.
#[derive(Debug)]
struct PoolGuard {
    pool: Arc<Pool>,
}

impl Function {
    /// Creates a function. It has no process yet.
    pub fn new(config: FunctionConfig) -> Self {
        let pool = Arc::new(Pool::new(config));
        Self {
            pool_guard: Arc::new(PoolGuard { pool }),
            qualifier: None,
            client_context: None,
        }
    }

    /// Returns a handle that invokes the function by an alias or version.
    ///
    /// It shares the instances with this handle. The name is at the end of the ARN that comes with
    /// each event.
    #[must_use]
    pub fn with_alias(&self, name: &str) -> Self {
        Self {
            pool_guard: Arc::clone(&self.pool_guard),
            qualifier: Some(name.to_owned()),
            client_context: self.client_context.clone(),
        }
    }

    /// Returns a handle that sends each invocation with this client context.
    ///
    /// Lambda decodes what a caller sends and passes it on as it is, so a caller may send any text.
    /// It shares the instances with this handle.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a text that no header can hold.
    pub fn with_client_context(&self, text: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(text).map_err(|cause| {
            let message = "could not send the client context in a header: leave out control \
                           characters";
            Error::new(ErrorKind::Input, message).with_source(cause)
        })?;
        Ok(Self {
            pool_guard: Arc::clone(&self.pool_guard),
            qualifier: self.qualifier.clone(),
            client_context: Some(value),
        })
    }

    /// Configuration of the function.
    pub fn config(&self) -> &FunctionConfig {
        self.pool().config()
    }

    /// Invokes the function with a JSON event and returns its JSON response.
    ///
    /// A streamed response is collected and returned in the buffered format of API Gateway's proxy
    /// integration.
    ///
    /// # Errors
    ///
    /// Each variant of [`InvokeError`]. A failed instance is not used again, except after
    /// [`InvokeError::Function`].
    ///
    /// # Cancel safety
    ///
    /// A queued event is removed from the queue. An event that an instance already has runs to its
    /// end or its time limit, and the response is dropped.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time.
    pub async fn invoke(&self, event: Bytes) -> Result<Bytes, InvokeError> {
        self.invoke_with(event, InvokeOptions::default()).await
    }

    /// Invokes the function and sends the chunks of a streamed response as they come.
    ///
    /// The chunks are the prelude, eight NUL bytes and the body, split as the function sent them.
    /// While the channel is full the function's next chunk waits. A response that is not streamed
    /// sends no chunk.
    ///
    /// # Errors
    ///
    /// As [`invoke`](Function::invoke), after the last chunk.
    pub async fn invoke_streaming(
        &self,
        event: Bytes,
        chunks: mpsc::Sender<Bytes>,
    ) -> Result<Bytes, InvokeError> {
        let options = InvokeOptions {
            chunks: Some(chunks),
            ..InvokeOptions::default()
        };
        self.invoke_with(event, options).await
    }

    /// Invokes the function as [`invoke`](Function::invoke) does, with an observer, or as
    /// [`invoke_streaming`](Function::invoke_streaming) does.
    ///
    /// # Errors
    ///
    /// As [`invoke`](Function::invoke).
    pub async fn invoke_with(
        &self,
        event: Bytes,
        options: InvokeOptions,
    ) -> Result<Bytes, InvokeError> {
        if event.len() > PAYLOAD_LIMIT_BYTES {
            return Err(InvokeError::EventTooLarge {
                size_bytes: event.len(),
                limit_bytes: PAYLOAD_LIMIT_BYTES,
            });
        }
        let caller = Caller {
            qualifier: self.qualifier.as_deref(),
            client_context: self.client_context.clone(),
            chunks: options.chunks,
            observer: options.observer,
        };
        self.pool().run(Some(event), caller).await
    }

    /// Waits until an instance has finished its INIT, and starts one if none is warm.
    ///
    /// The call is queued like an event. With [`snap_start`](FunctionConfig::snap_start) the
    /// instance then waits as in its snapshot until an event comes.
    ///
    /// # Errors
    ///
    /// The errors of [`invoke`](Function::invoke) that INIT can cause.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time.
    pub async fn warm_up(&self) -> Result<(), InvokeError> {
        self.pool().run(None, Caller::default()).await.map(drop)
    }

    /// Number of processes that are alive.
    pub fn instance_count(&self) -> usize {
        self.process_ids().len()
    }

    /// Number of processes started so far.
    pub fn started_count(&self) -> usize {
        self.pool().registry().started_count()
    }

    /// Ids of the processes that are alive, the oldest first.
    pub fn process_ids(&self) -> Vec<u32> {
        self.pool().registry().process_ids()
    }

    /// Ends all instances: SIGTERM, up to 2 s of grace, SIGKILL.
    ///
    /// When it returns, no process of the function is left, nor a child process of one. Events
    /// that run or wait fail with [`InvokeError::ShutDown`], and so do all later events.
    pub async fn shutdown(&self) {
        self.pool().close();
        self.pool().registry().wait_until_empty().await;
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool_guard.pool
    }
}

impl Drop for PoolGuard {
    fn drop(&mut self) {
        self.pool.close();
    }
}
