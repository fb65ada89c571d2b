//! Runs a future until the process receives `SIGTERM`.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

/// Runs a future until it ends, or until `SIGTERM`, and returns `None` then.
///
/// Lambda sends `SIGTERM` only to functions with an extension, at least 300 ms before it kills
/// them
/// (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html, 2026-02).
pub(crate) async fn run_until_shutdown<T>(work: impl Future<Output = T>) -> Option<T> {
    let flag = Arc::<SignalFlag>::default();
    let setter = Arc::clone(&flag);
    // A task of its own waits for the signal: the work is polled many times for each request, and
    // each poll then costs one atomic load.
    let listening = tokio::spawn(async move {
        terminated().await;
        setter.is_set.store(true, Ordering::Release);
        setter.waker.wake();
    });
    let mut work = pin!(work);
    let done = poll_fn(|cx| {
        flag.waker.register(cx.waker());
        if flag.is_set.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    });
    let done = done.await;
    listening.abort();
    done
}

#[derive(Default)]
struct SignalFlag {
    is_set: AtomicBool,
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
