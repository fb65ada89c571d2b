//! The state that all routes share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::account::Account;

/// State of one stand-in. Clones share it. The lock is held across no await.
#[derive(Clone, Default)]
pub(super) struct AppState(Arc<Mutex<Account>>);

impl AppState {
    /// Locks the account. Poison is ignored: a request that panicked leaves no state that a
    /// stand-in could not go on with.
    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
