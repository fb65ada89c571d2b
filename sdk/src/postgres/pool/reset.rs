//! The resets of sessions: those under way, of connections that came back with a running statement
//! or an open transaction, and the failures of those that go ahead of a request.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::SuspendAwareInstant;

/// The resets under way.
#[derive(Debug, Default)]
pub(in crate::postgres) struct ResetTasks {
    tasks: Mutex<JoinSet<()>>,
    /// Set under the lock of the tasks. While false, the lock is spared.
    has_tasks: AtomicBool,
    failures: Mutex<ResetFailures>,
    /// While false, the lock and the clock are spared.
    has_failed: AtomicBool,
}

impl ResetTasks {
    /// Starts a reset.
    pub(in crate::postgres) fn spawn(&self, reset: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(reset);
        self.has_tasks.store(true, Ordering::Release);
    }

    /// Waits for all that are under way. If this is dropped before they end, they are aborted, which
    /// closes their connections: a process that is frozen now could not go on with them.
    pub(in crate::postgres) async fn join_all(&self) {
        let mut tasks = {
            let mut tasks = self.tasks();
            self.has_tasks.store(false, Ordering::Release);
            std::mem::take(&mut *tasks)
        };
        while tasks.join_next().await.is_some() {}
    }

    /// Returns whether none is under way.
    pub(in crate::postgres) fn is_empty(&self) -> bool {
        !self.has_tasks.load(Ordering::Acquire) || self.tasks().is_empty()
    }

    /// Takes note of a reset that failed ahead of a request. Returns whether that is to be logged:
    /// the first failure of a minute is.
    pub(in crate::postgres) fn record_failure(&self) -> bool {
        let is_news = self.failures().record_failure(SuspendAwareInstant::now());
        self.has_failed.store(true, Ordering::Relaxed);
        is_news
    }

    /// Takes note of a reset that the server has confirmed.
    pub(in crate::postgres) fn record_success(&self) {
        if self.has_failed.load(Ordering::Relaxed) {
            self.failures().in_a_row = 0;
        }
    }

    /// Returns the care that the next reset needs.
    pub(in crate::postgres) fn caution(&self) -> Caution {
        if !self.has_failed.load(Ordering::Relaxed) {
            return Caution::None;
        }
        self.failures().caution(&SuspendAwareInstant::now())
    }

    fn failures(&self) -> MutexGuard<'_, ResetFailures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The care that a reset needs, since others have failed: the role has lost a right, the server
/// does not know a statement, or handlers leave what cannot be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Caution {
    None,
    /// It is confirmed before the loan, at the price of a round trip, so that no handler sees a
    /// failure.
    Confirm,
    /// It would fail: a session that was used is not lent again.
    DoNotTry,
}

/// The failures of resets. Pure: the caller has the clock.
#[derive(Debug, Default)]
struct ResetFailures {
    in_a_row: u32,
    failed_at: Option<SuspendAwareInstant>,
}

impl ResetFailures {
    fn record_failure(&mut self, now: SuspendAwareInstant) -> bool {
        let is_first = self.caution(&now) == Caution::None;
        self.in_a_row = self.in_a_row.saturating_add(1);
        let is_news = is_first || self.in_a_row >= HOPELESS;
        self.failed_at = Some(now);
        is_news
    }

    fn caution(&self, now: &SuspendAwareInstant) -> Caution {
        let Some(failed_at) = &self.failed_at else {
            return Caution::None;
        };
        let rested = failed_at.until(now);
        match self.in_a_row.checked_sub(HOPELESS) {
            Some(more) if rested < (MINUTE * (1 << more.min(16))).min(LONGEST) => Caution::DoNotTry,
            Some(_) => Caution::Confirm,
            None if rested < MINUTE => Caution::Confirm,
            None => Caution::None,
        }
    }
}

/// Number of failures in a row after which resets are given up for a minute, then for twice as
/// long with each trial that fails.
const HOPELESS: u32 = 3;
const MINUTE: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Limit for one reset. Longer than a request to stop takes to a server on the same continent
/// (four round trips of 50 ms), and about as long as a new connection, which is the alternative.
pub(in crate::postgres) const PATIENCE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_confirmed_after_a_failure_and_given_up_after_three() {
        let start = SuspendAwareInstant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut failures = ResetFailures::default();
        assert_eq!(failures.caution(&start), Caution::None);
        assert!(failures.record_failure(start), "the first is logged");
        assert_eq!(failures.caution(&at(59)), Caution::Confirm);
        assert_eq!(failures.caution(&at(60)), Caution::None);
        assert!(!failures.record_failure(at(1)), "the second is not");
        assert!(failures.record_failure(at(2)), "the last one is");
        for (trial, pause) in [(2, 60), (62, 120), (182, 240)] {
            assert_eq!(failures.caution(&at(trial + pause - 1)), Caution::DoNotTry);
            assert_eq!(failures.caution(&at(trial + pause)), Caution::Confirm);
            assert!(failures.record_failure(at(trial + pause)));
        }
        for second in 0..100 {
            failures.record_failure(at(second));
        }
        assert_eq!(failures.caution(&at(99 + 3600)), Caution::Confirm);
        failures.in_a_row = 0;
        assert_eq!(failures.caution(&at(100)), Caution::Confirm);
    }
}
