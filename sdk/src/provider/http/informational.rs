//! A limit to the informational responses (1xx) that may precede a response.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use tokio::sync::Notify;

/// Counts the informational responses to one request.
///
/// The HTTP library skips them, however many there are, so that a server that sends `103` without
/// end would be read until the time is up.
pub(super) struct InformationalLimit(Arc<Count>);

#[derive(Default)]
struct Count {
    received: AtomicUsize,
    exceeded: Notify,
}

impl InformationalLimit {
    /// Counts the informational responses to this request.
    pub(super) fn of<B>(request: &mut Request<B>) -> Self {
        let count = Arc::new(Count::default());
        let counted = Arc::clone(&count);
        hyper::ext::on_informational(request, move |_| {
            if counted.received.fetch_add(1, Ordering::Relaxed) >= MOST_INFORMATIONAL {
                counted.exceeded.notify_one();
            }
        });
        Self(count)
    }

    /// Waits until there were too many, which may never be. Returns the reason.
    pub(super) async fn exceeded(&self) -> String {
        self.0.exceeded.notified().await;
        if self.0.received.load(Ordering::Relaxed) <= MOST_INFORMATIONAL {
            pending::<()>().await;
        }
        format!("it sent more than {MOST_INFORMATIONAL} informational responses (1xx) and no other")
    }
}

/// An API sends one `100` or `103` at most.
const MOST_INFORMATIONAL: usize = 8;
