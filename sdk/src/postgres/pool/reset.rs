//! The resets under way, of connections that came back with a running statement or an open
//! transaction, and the time of the last reset that failed ahead of a request.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::SuspendAwareInstant;

/// The resets under way.
#[derive(Debug, Default)]
pub(in crate::postgres) struct ResetTasks {
    tasks: Mutex<JoinSet<()>>,
    failed_at: Mutex<Option<SuspendAwareInstant>>,
    /// While false, the lock and the clock are spared.
    has_failed: AtomicBool,
}

impl ResetTasks {
    /// Starts a reset.
    pub(in crate::postgres) fn spawn(&self, reset: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(reset);
    }

    /// Waits for all that are under way. If this is dropped before they end, they are aborted: a
    /// process that is frozen now could not go on with them.
    pub(in crate::postgres) async fn join_all(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        while tasks.join_next().await.is_some() {}
    }

    /// Returns whether none is under way.
    pub(in crate::postgres) fn is_empty(&self) -> bool {
        self.tasks().is_empty()
    }

    /// Takes note of a reset that failed ahead of a request.
    pub(in crate::postgres) fn record_failure(&self) {
        *self.failed_at() = Some(SuspendAwareInstant::now());
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Returns whether a reset failed ahead of a request a short time ago. Others will fail too:
    /// the role has lost a right, or handlers leave what cannot be reset. Each reset is confirmed
    /// before its loan then, at the price of a round trip, so that no handler sees the failure.
    pub(in crate::postgres) fn has_failed_recently(&self) -> bool {
        if !self.has_failed.load(Ordering::Relaxed) {
            return false;
        }
        let now = SuspendAwareInstant::now();
        self.failed_at()
            .is_some_and(|failed_at| failed_at.until(&now) < CAUTION)
    }

    fn failed_at(&self) -> MutexGuard<'_, Option<SuspendAwareInstant>> {
        self.failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time after a failed reset in which others are confirmed.
const CAUTION: Duration = Duration::from_secs(60);

/// Limit for one reset. Longer than a request to stop takes to a server on the same continent
/// (four round trips of 50 ms), and about as long as a new connection, which is the alternative.
pub(in crate::postgres) const PATIENCE: Duration = Duration::from_millis(300);
