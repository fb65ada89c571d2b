//! Instances that take part in a burst, their work and their replies.

use std::time::Duration;

use http::StatusCode;

/// Instance of a function, which handles one request at a time.
pub(crate) trait Instance: Send + Sync + 'static {
    /// Sends the instance a request.
    fn ask(&self, work: Work) -> impl Future<Output = Reply> + Send;
}

/// Kind of work in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Reads a page of the guestbook.
    Read,
    /// Inserts an entry by one statement.
    Write,
    /// Inserts an entry by a transaction of several statements.
    Transaction,
}

impl Work {
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Transaction];
}

/// Reply of an instance, as a client sees it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) work: Work,
    pub(crate) status: StatusCode,
    /// The reply's `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) took: Duration,
    /// Text of an unsuccessful reply, for the test's message.
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn is_good(&self) -> bool {
        self.status.is_success()
    }

    /// Returns whether it says that the database has no connection left, with a `Retry-After`.
    pub(crate) fn is_busy(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE && self.retry_after.is_some()
    }
}
