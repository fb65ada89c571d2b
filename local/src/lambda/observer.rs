//! The observer of an invocation, which learns what becomes of it on its instance.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::config::{FunctionConfig, LogLine, LogStream};
use super::spans::SpanReport;

/// Gets the facts about one invocation as they become known.
///
/// The instance drops the observer when the invocation is over: a moment after its runtime has
/// asked for the next event, so that the last log lines are read by then.
pub trait InvocationObserver: Send + Sync {
    /// Id by which the observer knows the invocation. Its log lines carry it.
    fn id(&self) -> &str;

    /// The runtime has taken the event.
    fn delivered(&self, instance: usize, start: InstanceStart);

    /// The function, or the platform for it, has logged a line.
    fn logged(&self, line: &LogLine);

    /// The runtime has reported where the time went.
    fn reported(&self, report: SpanReport);
}

/// The state of the instance that an invocation went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstanceStart {
    /// The instance was started for the invocation, which waited for its INIT.
    Cold {
        /// Time from the start of the process until it asked for its first event.
        init: Duration,
    },
    /// The instance had been initialized before.
    Warm,
}

/// The wishes of the caller of an invocation besides its event.
#[derive(Default)]
#[non_exhaustive]
pub struct InvokeOptions {
    /// Gets the facts about the invocation. Default: none.
    pub observer: Option<Arc<dyn InvocationObserver>>,
    /// Receives the chunks of a streamed response as they come. Default: they are collected.
    pub chunks: Option<mpsc::Sender<Bytes>>,
}

impl fmt::Debug for InvokeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observer = self.observer.as_ref().map(|observer| observer.id());
        f.debug_struct("InvokeOptions")
            .field("observer", &observer)
            .field("chunks", &self.chunks.is_some())
            .finish()
    }
}

/// The log of one instance. Clones share the invocation that the lines belong to.
#[derive(Clone)]
pub(super) struct InstanceLog {
    pub(super) config: Arc<FunctionConfig>,
    instance: usize,
    current: Arc<Mutex<Option<Current>>>,
}

/// The invocation that lines belong to.
pub(super) struct Current {
    id: String,
    observer: Weak<dyn InvocationObserver>,
}

impl InstanceLog {
    pub(super) fn new(config: &Arc<FunctionConfig>, instance: usize) -> Self {
        Self {
            config: Arc::clone(config),
            instance,
            current: Arc::default(),
        }
    }

    /// Has the lines from now on belong to an invocation, and returns the one before. An instance with
    /// several invocations at a time cannot tell whose a line is.
    pub(super) fn set_invocation(
        &self,
        observer: Option<&Arc<dyn InvocationObserver>>,
    ) -> Option<Current> {
        let observer = observer.filter(|_| self.config.concurrency <= 1);
        let next = observer.map(|observer| Current {
            id: observer.id().to_owned(),
            observer: Arc::downgrade(observer),
        });
        mem::replace(&mut *self.current(), next)
    }

    /// Has the lines belong to the invocation of before, since the next one did not come about.
    pub(super) fn set_back(&self, before: Option<Current>) {
        *self.current() = before;
    }

    /// Passes one line to the log and to the observer of its invocation.
    pub(super) fn line(&self, stream: LogStream, line: String) {
        let (request, observer) = match &*self.current() {
            Some(current) => (Some(current.id.clone()), current.observer.upgrade()),
            None => (None, None),
        };
        let line = LogLine {
            function: self.config.name.clone(),
            instance: self.instance,
            stream,
            line,
            request,
        };
        if let Some(observer) = observer {
            observer.logged(&line);
        }
        (self.config.logs)(line);
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
