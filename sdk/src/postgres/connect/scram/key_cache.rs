//! A cache of the SCRAM keys of one password.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::credentials::ScramKeys;

/// The SCRAM keys of one password that were used last.
#[derive(Default)]
pub(in crate::postgres) struct ScramKeyCache(Mutex<Option<ScramKeys>>);

impl ScramKeyCache {
    /// Creates a cache that holds keys from an earlier process, if any.
    pub(in crate::postgres) fn new(keys: Option<ScramKeys>) -> Self {
        Self(Mutex::new(keys))
    }

    /// Returns the keys for a server's salt and iterations: the cached ones where they fit, else
    /// new ones.
    pub(in crate::postgres) fn get_or_derive(
        &self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
    ) -> ScramKeys {
        let fits = |keys: &ScramKeys| keys.salt == salt && keys.iterations == iterations;
        let cached = self.last().filter(fits);
        cached.unwrap_or_else(|| ScramKeys::derive(password, salt, iterations))
    }

    /// Caches keys, after the server has shown that its verifier is of the same password, salt and
    /// iterations.
    pub(in crate::postgres) fn store(&self, keys: ScramKeys) {
        *self.lock() = Some(keys);
    }

    /// Returns the cached keys.
    pub(in crate::postgres) fn last(&self) -> Option<ScramKeys> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<ScramKeys>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ScramKeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeyCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_keys_are_reused_for_the_same_salt_and_iterations_only() {
        let key_cache = ScramKeyCache::default();
        let first = key_cache.get_or_derive(b"pw", b"salt", 2);
        assert!(
            key_cache.last().is_none(),
            "the server has shown nothing yet"
        );
        key_cache.store(first.clone());
        assert!(key_cache.get_or_derive(b"not looked at", b"salt", 2) == first);
        let other = key_cache.get_or_derive(b"pw", b"other", 2);
        assert!(other != first && key_cache.get_or_derive(b"pw", b"salt", 3) != first);
        assert!(
            key_cache.last() == Some(first),
            "other salts replace nothing"
        );
        key_cache.store(other.clone());
        assert!(key_cache.last() == Some(other));
        assert!(!format!("{key_cache:?}").contains("salt"));
    }

    #[test]
    fn earlier_keys_are_used_where_they_fit() {
        let keys = ScramKeys::derive(b"pw", b"salt", 2);
        let key_cache = ScramKeyCache::new(Some(keys.clone()));
        assert!(key_cache.get_or_derive(b"not looked at", b"salt", 2) == keys);
        let other = key_cache.get_or_derive(b"pw", b"salt", 3);
        assert!(other == ScramKeys::derive(b"pw", b"salt", 3));
    }
}
