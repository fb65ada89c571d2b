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

    /// Notes that such an attempt has ended, and whether its result is known.
    fn ended(&self, _is_known: bool) {}
}

/// An attempt at a change that is under way. Dropped before its end, its result is not known.
#[must_use]
pub(crate) struct Attempt(Option<Arc<dyn Fence>>);

impl Attempt {
    /// Begins one that no fence is asked about: a question.
    pub(crate) fn unfenced() -> Self {
        Self(None)
    }

    fn begin(fence: Option<Arc<dyn Fence>>) -> Self {
        if let Some(fence) = &fence {
            fence.begins();
        }
        Self(fence)
    }

    /// Notes the end. `is_known` says whether an answer came.
    pub(crate) fn end(mut self, is_known: bool) {
        if let Some(fence) = self.0.take() {
            fence.ended(is_known);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(fence) = &self.0 {
            fence.ended(false);
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
    /// at a change.
    ///
    /// # Errors
    ///
    /// Those of [`Fence::ensure`].
    pub(crate) async fn begin_attempt(&self) -> Result<Attempt, Error> {
        let fence = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(fence) = &fence {
            fence.ensure().await?;
        }
        Ok(Attempt::begin(fence))
    }
}
