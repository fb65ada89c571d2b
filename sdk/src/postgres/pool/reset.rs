//! What becomes of a connection that comes back before its work has come to an end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool::managed::Object;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::postgres::pool::manager::Connection;

/// The connections that are being tidied up: what runs on them is stopped in the server, and
/// what is open is rolled back. They go back to their pool afterwards, or are given up where
/// that takes too long. Until then they keep their place, so whoever wants a connection waits
/// for that short time.
#[derive(Debug, Default)]
pub(in crate::postgres) struct ResetTasks(Mutex<JoinSet<()>>);

impl ResetTasks {
    /// Takes a connection back.
    pub(in crate::postgres) fn take(&self, mut connection: Connection) {
        let rest = connection.comes_back();
        // The pool itself sees to what has ended. Without a runtime nobody could wait for
        // the server, and the pool gives the connection up.
        if rest.is_idle || rest.has_ended || Handle::try_current().is_err() {
            return;
        }
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(tidy(connection));
    }

    /// Waits for all that are under way. Where nobody waits to the end, those that are left
    /// are given up: a process that is frozen now could not go on with it.
    pub(in crate::postgres) async fn done(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        while tasks.join_next().await.is_some() {}
    }

    /// Whether none is under way.
    pub(in crate::postgres) fn is_done(&self) -> bool {
        self.tasks().is_empty()
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn tidy(connection: Connection) {
    match timeout(PATIENCE, connection.comes_to_rest()).await {
        Ok(true) => tracing::debug!("an abandoned statement was stopped, its connection stays"),
        _ => {
            tracing::debug!("an abandoned statement did not stop in time, nor its connection");
            drop(Object::take(connection));
        }
    }
}

/// Longer than a request to stop takes to a server on the same continent (four round trips of
/// 50 ms), and about as long as a new connection, which is what else there is to wait for.
const PATIENCE: Duration = Duration::from_millis(300);
