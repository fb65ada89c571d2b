//! Runs work of the control plane's library for the board: its futures stay on one thread.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// Runs futures on threads of their own, until the board stops. Clones stop with it.
#[derive(Clone)]
pub(super) struct LocalTasks(watch::Receiver<()>);

impl LocalTasks {
    /// Returns the tasks, and what stops them when it is dropped.
    pub(super) fn new() -> (Self, watch::Sender<()>) {
        let (stop, stopped) = watch::channel(());
        (Self(stopped), stop)
    }

    /// Runs a future to its end, also where the caller is dropped; `None` if the board stops first.
    pub(super) async fn run<T, F>(&self, make: impl FnOnce() -> F + Send + 'static) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        let mut stopped = self.0.clone();
        let runtime = Handle::current();
        let work = async move || {
            tokio::select! {
                _ = stopped.changed() => None,
                value = make() => Some(value),
            }
        };
        let task = spawn_blocking(move || runtime.block_on(work()));
        // It fails only by a panic, which is shown.
        task.await.ok().flatten()
    }
}
