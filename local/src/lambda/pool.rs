//! The pool of one function's instances: it queues invocations and starts instances for them.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::Semaphore;

use super::config::FunctionConfig;
use super::instance::run_instance;
use super::invocation::{Caller, Invocation};
use super::invoke_error::InvokeError;
use super::registry::{Assignment, Registry};
use crate::{Error, ErrorKind};

/// The instances of one function, and the queue in front of them.
///
/// The queue is a semaphore with a permit for each invocation that may run. It is fair, and an
/// invocation with a permit always finds a free slot in an instance or room for a new instance.
#[derive(Debug)]
pub(super) struct Pool {
    registry: Arc<Registry>,
    queue: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(config: FunctionConfig) -> Self {
        let permits = config.max_instances.max(1);
        let permits = permits.saturating_mul(config.concurrency.max(1));
        let permits = permits.min(Semaphore::MAX_PERMITS);
        Self {
            registry: Arc::new(Registry::new(config)),
            queue: Arc::new(Semaphore::new(permits)),
        }
    }

    pub(super) fn config(&self) -> &FunctionConfig {
        &self.registry.config
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Waits in the queue, runs the event on an instance, and returns the function's response.
    pub(super) async fn run(
        self: &Arc<Self>,
        event: Option<Bytes>,
        caller: Caller<'_>,
    ) -> Result<Bytes, InvokeError> {
        let arn = HeaderValue::from_str(&self.config().arn(caller.qualifier)).map_err(|cause| {
            let message = "could not form an ARN from the function's name and alias: use letters, \
                           digits, - and _";
            InvokeError::NotStarted(Error::new(ErrorKind::Input, message).with_source(cause))
        })?;
        let queue = Arc::clone(&self.queue);
        let Ok(permit) = queue.acquire_owned().await else {
            return Err(InvokeError::ShutDown);
        };
        let (invocation, response) = Invocation::new(event, arn, caller, permit);
        self.dispatch(invocation);
        // The sender is dropped without a response when the instance's async runtime ends.
        response.await.unwrap_or(Err(InvokeError::ShutDown))
    }

    /// Gives the invocation to the most recently used warm instance, or starts a new one.
    fn dispatch(self: &Arc<Self>, invocation: Invocation) {
        match self.registry.assign(invocation) {
            Assignment::Sent => {}
            Assignment::Closed(invocation) => invocation.finish(Err(InvokeError::ShutDown)),
            Assignment::NewInstance(instance, invocation) => {
                let pool = Arc::clone(self);
                tokio::spawn(async move {
                    let undelivered = run_instance(instance, invocation).await;
                    for invocation in undelivered {
                        pool.dispatch(invocation);
                    }
                });
            }
        }
    }

    /// Accepts no more invocations, and tells every instance to shut down.
    pub(super) fn close(&self) {
        self.queue.close();
        self.registry.close();
    }
}
