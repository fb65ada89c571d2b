//! The proof, right before a call, that this process may still change a stage.

use std::fmt::Debug;

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
