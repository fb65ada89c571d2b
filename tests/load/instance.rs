//! What a storm is made of: instances, what they are asked, and what they answer.

use std::time::Duration;

use http::StatusCode;

/// An instance of a function: it does one thing after the other.
pub(crate) trait Instance: Send + Sync + 'static {
    /// Asks it for something.
    fn ask(&self, work: Work) -> impl Future<Output = Reply> + Send;
}

/// What an instance is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A page of the guestbook.
    Read,
    /// An entry, by one statement.
    Write,
    /// An entry, by a transaction of more.
    Transaction,
}

impl Work {
    pub(crate) const EACH: [Self; 3] = [Self::Read, Self::Write, Self::Transaction];
}

/// What an instance answers, as a client sees it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) work: Work,
    pub(crate) status: StatusCode,
    /// How long the client is asked to wait.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) took: Duration,
    /// Why it is none that was wanted, for whoever reads the failure of a test.
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn is_good(&self) -> bool {
        self.status.is_success()
    }

    /// Whether it says that the database is full, and when to come again.
    pub(crate) fn is_busy(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE && self.retry_after.is_some()
    }
}
