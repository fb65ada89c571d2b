//! The last requests, and the channel on which each change is sent.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::record::RequestRecord;
use crate::lambda::LogLine;

/// The last requests of a project's stages. Clones share them.
///
/// It keeps the last 2,000 finished requests, and fewer where their events and lines take more than
/// 64 MiB.
#[derive(Clone)]
pub struct RequestLog(Arc<Inner>);

struct Inner {
    finished: Mutex<Ring>,
    events: broadcast::Sender<RequestEvent>,
}

/// A change of the requests.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RequestEvent {
    /// A request has arrived.
    Started(Arc<RequestRecord>),
    /// A function has logged a line. [`LogLine::request`] has the id of its request, if it is one
    /// request's.
    Line {
        /// Name of the stage.
        stage: String,
        /// The line.
        line: LogLine,
    },
    /// A request is over, and its record is whole.
    Finished(Arc<RequestRecord>),
}

#[derive(Default)]
struct Ring {
    records: VecDeque<Arc<RequestRecord>>,
    size: usize,
}

impl RequestLog {
    /// The finished requests that are kept, in the order of their ends.
    pub fn records(&self) -> Vec<Arc<RequestRecord>> {
        self.ring().records.iter().cloned().collect()
    }

    /// Returns a finished request by its id.
    pub fn record(&self, id: &str) -> Option<Arc<RequestRecord>> {
        let ring = self.ring();
        let mut latest_first = ring.records.iter().rev();
        latest_first.find(|record| record.id == id).cloned()
    }

    /// Returns the channel of all changes from now on. A receiver that is slower than the requests
    /// misses the oldest of more than 4,096 changes, and is told so.
    pub fn subscribe(&self) -> broadcast::Receiver<RequestEvent> {
        self.0.events.subscribe()
    }

    pub(crate) fn send_line(&self, stage: &str, line: &LogLine) {
        self.send(|| RequestEvent::Line {
            stage: stage.to_owned(),
            line: line.clone(),
        });
    }

    pub(super) fn send_started(&self, record: &RequestRecord) {
        self.send(|| RequestEvent::Started(Arc::new(record.clone())));
    }

    pub(super) fn finish(&self, record: RequestRecord) {
        let record = Arc::new(record);
        self.ring().push(Arc::clone(&record));
        self.send(|| RequestEvent::Finished(record));
    }

    fn send(&self, event: impl FnOnce() -> RequestEvent) {
        if self.0.events.receiver_count() > 0 {
            // The last receiver may have gone since.
            let _ = self.0.events.send(event());
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        let ring = self.0.finished.lock();
        ring.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for RequestLog {
    fn default() -> Self {
        Self(Arc::new(Inner {
            finished: Mutex::default(),
            events: broadcast::Sender::new(MAX_WAITING_EVENTS),
        }))
    }
}

impl fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLog")
            .field("finished", &self.ring().records.len())
            .finish_non_exhaustive()
    }
}

impl Ring {
    fn push(&mut self, record: Arc<RequestRecord>) {
        self.size += record.size();
        self.records.push_back(record);
        while self.records.len() > MAX_RECORDS || self.size > MAX_BYTES {
            let Some(oldest) = self.records.pop_front() else {
                break;
            };
            self.size -= oldest.size();
        }
    }
}

const MAX_RECORDS: usize = 2_000;

const MAX_BYTES: usize = 64 * 1024 * 1024;

const MAX_WAITING_EVENTS: usize = 4_096;
