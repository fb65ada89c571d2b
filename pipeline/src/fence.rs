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
}

/// The fence of a client, once it has one. Clones have the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct FenceSlot(Arc<Mutex<Option<Arc<dyn Fence>>>>);

impl FenceSlot {
    /// Asks this fence from now on.
    pub(crate) fn set(&self, fence: Arc<dyn Fence>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fence);
    }

    /// Makes sure that this process may still change the stage, where there is a fence.
    ///
    /// # Errors
    ///
    /// Those of [`Fence::ensure`].
    pub(crate) async fn ensure(&self) -> Result<(), Error> {
        let fence = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match fence {
            Some(fence) => fence.ensure().await,
            None => Ok(()),
        }
    }
}
