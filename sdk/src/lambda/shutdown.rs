//! When the process is told to end.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

/// Does something until the process is told to end; `None` if it is told before that is done.
///
/// It is told by `SIGTERM`, which Lambda sends only to functions with an extension, 300 ms
/// and more before it kills them
/// (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html, 2026-02).
pub(crate) async fn run_until_shutdown<T>(work: impl Future<Output = T>) -> Option<T> {
    let told = Arc::<Told>::default();
    let teller = Arc::clone(&told);
    // In a task of its own, since the work takes many steps for each request, and all that is
    // looked at beside each is whether this has ended.
    let listening = tokio::spawn(async move {
        terminated().await;
        teller.is_told.store(true, Ordering::Release);
        teller.waker.wake();
    });
    let mut work = pin!(work);
    let done = poll_fn(|cx| {
        told.waker.register(cx.waker());
        if told.is_told.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    });
    let done = done.await;
    listening.abort();
    done
}

#[derive(Default)]
struct Told {
    is_told: AtomicBool,
    waker: AtomicWaker,
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(error) => {
            tracing::debug!(%error, "no signal can be waited for");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
