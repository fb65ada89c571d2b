//! The thread of this crate: its connections, and what it has begun, outlive the runtime of a test.

use std::future::Future;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Handle};

use crate::error::Error;

/// Runs a future on the thread.
pub(super) async fn on_thread<T: Send + 'static>(
    future: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    thread()
        .spawn(future)
        .await
        .unwrap_or_else(|error| Err(Error::with_source("the work was not done", error)))
}

/// Returns the runtime of the thread.
pub(super) fn thread() -> &'static Handle {
    static THREAD: LazyLock<Handle> = LazyLock::new(|| {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system lets a process have another thread");
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    });
    &THREAD
}
