//! The times at which connections were lent, for the error of a request that finds none free.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::clock::SuspendAwareInstant;

/// The loans of the connections of one generation.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Loans(Mutex<Vec<Weak<Loan>>>);

/// The current loan of one connection.
#[derive(Debug)]
pub(super) struct Loan {
    opened_at: SuspendAwareInstant,
    /// Milliseconds from the opening of the connection to its loan, plus one; 0 if it is not lent.
    lent_ms: AtomicU64,
}

impl Loans {
    /// Adds a connection that was opened at this moment and is lent at once.
    pub(super) fn add(&self, opened_at: SuspendAwareInstant) -> Arc<Loan> {
        let loan = Arc::new(Loan {
            opened_at,
            lent_ms: AtomicU64::new(1),
        });
        let mut loans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loans.retain(|loan| loan.strong_count() > 0);
        loans.push(Arc::downgrade(&loan));
        loan
    }

    /// Returns the time for which the longest loan has lasted.
    pub(super) fn longest(&self, now: &SuspendAwareInstant) -> Option<Duration> {
        let loans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let loans = loans.iter().filter_map(Weak::upgrade);
        loans.filter_map(|loan| loan.lasts(now)).max()
    }
}

impl Loan {
    pub(super) fn begin(&self, now: &SuspendAwareInstant) {
        let lent = self.opened_at.until(now).as_millis();
        let lent = u64::try_from(lent).unwrap_or(u64::MAX).saturating_add(1);
        self.lent_ms.store(lent, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.lent_ms.store(0, Ordering::Relaxed);
    }

    fn lasts(&self, now: &SuspendAwareInstant) -> Option<Duration> {
        let lent = self.lent_ms.load(Ordering::Relaxed).checked_sub(1)?;
        let open = self.opened_at.until(now);
        Some(open.saturating_sub(Duration::from_millis(lent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_loan_is_that_of_a_connection_that_is_lent() {
        let loans = Loans::default();
        let opened_at = SuspendAwareInstant::now();
        assert_eq!(loans.longest(&opened_at), None);
        let (first, second) = (loans.add(opened_at), loans.add(opened_at));
        std::thread::sleep(Duration::from_millis(5));
        let now = SuspendAwareInstant::now();
        first.end();
        second.begin(&now);
        let longest = loans.longest(&now).unwrap();
        assert!(longest < Duration::from_millis(5), "{longest:?}");
        first.begin(&opened_at);
        let longest = loans.longest(&now).unwrap();
        assert!(longest >= Duration::from_millis(5), "{longest:?}");
        drop(first);
        second.end();
        assert_eq!(loans.longest(&now), None, "closed, and given back");
    }
}
