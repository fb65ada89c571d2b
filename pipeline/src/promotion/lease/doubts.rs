//! The changes outside of the database whose result is not known.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fence::AttemptEnd;

/// The changes in doubt, by their names: the last attempt at each of them that may have been made had no answer,
/// and nothing has shown its result since.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<BTreeSet<String>>);

impl Doubts {
    /// Notes the end of an attempt at a change. Attempts at others stay as they are.
    pub(super) fn record(&self, change: &str, end: AttemptEnd) {
        match end {
            AttemptEnd::Known => self.changes().remove(change),
            AttemptEnd::Unknown => self.changes().insert(change.to_owned()),
            AttemptEnd::NotTaken => false,
        };
    }

    /// Forgets the changes whose result is known now.
    pub(super) fn settle(&self, is_known: &dyn Fn(&str) -> bool) {
        self.changes().retain(|change| !is_known(change));
    }

    /// Returns whether there is a change in doubt.
    pub(super) fn exist(&self) -> bool {
        !self.changes().is_empty()
    }

    fn changes(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_ends_by_the_changes_own_repeat_or_a_look_alone() {
        let doubts = Doubts::default();
        doubts.record("upload a", AttemptEnd::Unknown);
        doubts.record("upload b", AttemptEnd::Unknown);
        doubts.record("upload c", AttemptEnd::Known);
        // A service that turns the repeat away says nothing of the attempt before.
        doubts.record("upload a", AttemptEnd::NotTaken);
        doubts.record("upload a", AttemptEnd::Known);
        assert!(doubts.exist());
        doubts.settle(&|change| change == "upload a");
        assert!(doubts.exist());
        doubts.settle(&|change| change == "upload b");
        assert!(!doubts.exist());
        doubts.record("upload a", AttemptEnd::Unknown);
        doubts.record("upload a", AttemptEnd::NotTaken);
        assert!(doubts.exist());
    }
}
