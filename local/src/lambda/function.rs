//! The handle that events are sent through.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::config::FunctionConfig;
use super::invocation::PAYLOAD_LIMIT_BYTES;
use super::invoke_error::InvokeError;
use super::pool::Pool;

/// A function that can be invoked. Clones share the instances.
///
/// When the last clone is dropped, the instances end as by
/// [`shutdown`](Function::shutdown), without anybody waiting for it.
#[derive(Clone, Debug)]
pub struct Function {
    owner: Arc<Owner>,
    /// In place of the configuration's.
    qualifier: Option<String>,
}

/// Ends the instances, which hold the pool too, with the last handle.
#[derive(Debug)]
struct Owner {
    pool: Arc<Pool>,
}

impl Function {
    /// A function without a process yet.
    pub fn new(config: FunctionConfig) -> Self {
        let pool = Arc::new(Pool::new(config));
        Self {
            owner: Arc::new(Owner { pool }),
            qualifier: None,
        }
    }

    /// The same function, with the same instances, invoked by this alias or version: the end
    /// of the ARN that its instances are told.
    #[must_use]
    pub fn by_alias(&self, name: &str) -> Self {
        Self {
            owner: Arc::clone(&self.owner),
            qualifier: Some(name.to_owned()),
        }
    }

    /// What the function was made from.
    pub fn config(&self) -> &FunctionConfig {
        &self.pool().config
    }

    /// Has an instance run one event, given and answered in JSON.
    ///
    /// A streamed answer is collected and returned in the buffered form of API
    /// Gateway's proxy integration.
    ///
    /// # Errors
    ///
    /// Each variant of [`InvokeError`]; an instance that failed is not used
    /// again, except after [`InvokeError::Function`].
    ///
    /// # Cancel safety
    ///
    /// A caller in line leaves it. An event that an instance already has runs
    /// to its end or its time limit, and its answer is dropped.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time.
    pub async fn invoke(&self, event: Bytes) -> Result<Bytes, InvokeError> {
        self.run(event, None).await
    }

    /// The same, and hands on the parts of a streamed answer as they come: the prelude, eight
    /// NUL bytes and the body, cut as the function sent them. The function's next part waits
    /// until there is room for it. Nothing comes of an answer that is not streamed.
    ///
    /// # Errors
    ///
    /// As [`invoke`](Function::invoke), when the last part has come.
    pub async fn invoke_streaming(
        &self,
        event: Bytes,
        parts: mpsc::Sender<Bytes>,
    ) -> Result<Bytes, InvokeError> {
        self.run(event, Some(parts)).await
    }

    async fn run(
        &self,
        event: Bytes,
        parts: Option<mpsc::Sender<Bytes>>,
    ) -> Result<Bytes, InvokeError> {
        if event.len() > PAYLOAD_LIMIT_BYTES {
            return Err(InvokeError::EventTooLarge {
                size_bytes: event.len(),
                limit_bytes: PAYLOAD_LIMIT_BYTES,
            });
        }
        let qualifier = self.qualifier.as_deref();
        self.pool().run(Some(event), qualifier, parts).await
    }

    /// Waits until an instance has its INIT behind it, and starts one if none
    /// is warm. It stands in line like an event. With
    /// [`snap_start`](FunctionConfig::snap_start) the instance is then as in its snapshot,
    /// until an event comes.
    ///
    /// # Errors
    ///
    /// Those of [`invoke`](Function::invoke) that INIT can have.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time.
    pub async fn warm_up(&self) -> Result<(), InvokeError> {
        self.pool().run(None, None, None).await.map(drop)
    }

    /// How many processes are alive.
    pub fn instances(&self) -> usize {
        self.process_ids().len()
    }

    /// How many processes were ever started.
    pub fn started(&self) -> usize {
        self.pool().started()
    }

    /// The ids of the processes that are alive, the oldest first.
    pub fn process_ids(&self) -> Vec<u32> {
        self.pool().process_ids()
    }

    /// Ends all instances: SIGTERM, up to 2 s, SIGKILL. When it returns, no
    /// process that the function or its instances started is left. Events that
    /// run or wait are answered with [`InvokeError::ShutDown`], and so are all
    /// that come later.
    pub async fn shutdown(&self) {
        self.pool().close();
        self.pool().emptied().await;
    }

    fn pool(&self) -> &Arc<Pool> {
        &self.owner.pool
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.pool.close();
    }
}
