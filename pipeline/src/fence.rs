//! The proof, right before a call, that this process may still change a stage.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use crate::error::Error;

/// A lease as the client of a service sees it. A client that has one asks it before each attempt at a
/// change, also before the attempts that come after a pause.
pub(crate) trait Fence: Debug + Send + Sync {
    /// Makes sure that this process may still change the stage.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) where another command may change it by now;
    /// [`ErrorKind::Database`](crate::ErrorKind::Database) where that is not known.
    fn ensure(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Notes that an attempt at a change begins.
    fn begins(&self) {}

    /// Notes that an attempt at the change of this name has ended.
    fn ended(&self, _change: &str, _end: AttemptEnd) {}

    /// Notes that a look has shown the results of the changes whose names fit.
    fn settled(&self, _is_known: &dyn Fn(&str) -> bool) {}
}

/// The end of an attempt at a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    /// The service has answered it.
    Known,
    /// The service may have made the change, or make it later.
    Unknown,
    /// The service has turned the attempt away, as at a rate limit, which says nothing of an earlier one.
    NotTaken,
}

/// An attempt at a change that is under way. Dropped before its end, its result is not known.
#[must_use]
pub(crate) struct Attempt(Option<FencedAttempt>);

struct FencedAttempt {
    fence: Arc<dyn Fence>,
    /// The name of the change, which all attempts at it have.
    change: String,
}

impl Attempt {
    /// Begins one that no fence is asked about: a question.
    pub(crate) fn unfenced() -> Self {
        Self(None)
    }

    fn begin(fence: Option<Arc<dyn Fence>>, change: String) -> Self {
        Self(fence.map(|fence| {
            fence.begins();
            FencedAttempt { fence, change }
        }))
    }

    /// Notes the end.
    pub(crate) fn end(mut self, end: AttemptEnd) {
        if let Some(attempt) = self.0.take() {
            attempt.fence.ended(&attempt.change, end);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(attempt) = &self.0 {
            attempt.fence.ended(&attempt.change, AttemptEnd::Unknown);
        }
    }
}

/// The fence of a client, once it has one. Clones have the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct FenceSlot(Arc<Mutex<Option<Arc<dyn Fence>>>>);

impl FenceSlot {
    /// Asks this fence from now on.
    pub(crate) fn set(&self, fence: Arc<dyn Fence>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fence);
    }

    /// Makes sure that this process may still change the stage, where there is a fence, and begins an attempt
    /// at the change of this name, which is the same for each attempt at it.
    ///
    /// # Errors
    ///
    /// Those of [`Fence::ensure`].
    pub(crate) async fn begin_attempt(&self, change: impl Into<String>) -> Result<Attempt, Error> {
        let fence = self.fence();
        if let Some(fence) = &fence {
            fence.ensure().await?;
        }
        Ok(Attempt::begin(fence, change.into()))
    }

    /// Notes that a look has shown the results of the changes whose names fit.
    pub(crate) fn settle(&self, is_known: impl Fn(&str) -> bool) {
        if let Some(fence) = self.fence() {
            fence.settled(&is_known);
        }
    }

    fn fence(&self) -> Option<Arc<dyn Fence>> {
        let fence = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fence.clone()
    }
}
