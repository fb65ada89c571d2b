//! What the connections of one generation have told of its credentials.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::postgres::sqlstate::Staleness;

/// What the connections of a generation have told of its credentials.
#[derive(Debug, Default)]
pub(in crate::postgres) struct CredentialHealth {
    /// One was opened since the provider was last asked.
    pub(in crate::postgres) proved: AtomicBool,
    /// One was ended from outside, and none was opened since.
    pub(in crate::postgres) doubt: AtomicBool,
    /// Since when none could be opened for want of any answer.
    silent_since: Mutex<Option<Instant>>,
    /// One said that it takes no writes.
    pub(in crate::postgres) read_only: AtomicBool,
    /// One said that there is hardly room for others.
    pub(in crate::postgres) crowded: AtomicBool,
}

impl CredentialHealth {
    /// What a failure to open a connection says, with what went before it.
    pub(in crate::postgres) fn judge(&self, error: Error) -> Error {
        let is_silence = matches!(error.kind(), ErrorKind::Timeout(_));
        let doubt = self.doubt.load(Ordering::Relaxed);
        match error.staleness() {
            Staleness::Unaffected if is_silence && (doubt || self.is_silent_for_long()) => {
                error.with_staleness(Staleness::Stale)
            }
            Staleness::Suspect if doubt => error.with_staleness(Staleness::Stale),
            Staleness::Suspect => {
                self.doubt.store(true, Ordering::Relaxed);
                error
            }
            _ => error,
        }
    }

    fn is_silent_for_long(&self) -> bool {
        let mut since = lock(&self.silent_since);
        since.get_or_insert_with(Instant::now).elapsed() >= SILENCE
    }

    /// A connection was opened.
    pub(in crate::postgres) fn opened(&self) {
        self.doubt.store(false, Ordering::Relaxed);
        *lock(&self.silent_since) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A time-out says nothing of the credentials, and a busy network has some in a
/// row. A server that has not answered for this long may be another's address by now.
const SILENCE: Duration = Duration::from_secs(30);
