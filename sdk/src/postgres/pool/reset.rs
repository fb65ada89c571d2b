//! The resets under way: of connections that came back with a running statement or an open
//! transaction.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

/// The resets under way.
#[derive(Debug, Default)]
pub(in crate::postgres) struct ResetTasks(Mutex<JoinSet<()>>);

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

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Limit for one reset. Longer than a request to stop takes to a server on the same continent
/// (four round trips of 50 ms), and about as long as a new connection, which is the alternative.
pub(in crate::postgres) const PATIENCE: Duration = Duration::from_millis(300);
