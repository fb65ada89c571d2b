//! A health that the pool and its connections share: [`Health`] with a lock and the clock.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Now;
use crate::meaning::Meaning;
use crate::postgres::pool::health::{Action, Concerns, Event, Health, Reason};

/// The health of a stage's database, shared by its pool and the pool's connections.
#[derive(Debug, Default)]
pub(crate) struct SharedHealth {
    /// The open [`Concerns`] of the state. An event that settles none of them spares the lock
    /// and the clock: in a healthy database those of a request that succeeds.
    concerns: AtomicU8,
    state: Mutex<Health>,
}

impl SharedHealth {
    /// Takes note of an event that happens now, and returns the pool's reaction.
    pub(crate) fn observe(&self, event: Event) -> Action {
        if self.is_unaffected_by(event) {
            return Action::Proceed;
        }
        let mut health = self.lock();
        let action = health.observe(event, Now::read());
        self.concerns
            .store(health.concerns().bits(), Ordering::Relaxed);
        action
    }

    /// Returns the time until the provider may be asked.
    pub(in crate::postgres) fn wait_to_ask(&self, reason: Reason) -> Duration {
        self.lock().wait_to_ask(reason, Now::read())
    }

    /// Takes note of a failed attempt at some work. Returns since when such work fails.
    pub(crate) fn record_failed_work(&self, meaning: Meaning) -> Instant {
        self.observe(Event::WorkFailed { meaning });
        let since = self.lock().failing_since(meaning);
        since.unwrap_or_else(Instant::now)
    }

    /// Returns whether the end of the invocation changes nothing.
    pub(in crate::postgres) fn is_settled(&self) -> bool {
        self.is_unaffected_by(Event::InvocationEnded)
    }

    fn is_unaffected_by(&self, event: Event) -> bool {
        let open = Concerns::from_bits(self.concerns.load(Ordering::Relaxed));
        event
            .settles()
            .is_some_and(|settled| !settled.intersects(open))
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR_LIMIT: Event = Event::NearLimit { generation: 1 };
    const FULL: Event = Event::ConnectFailed {
        generation: 1,
        meaning: Meaning::Crowded,
    };
    const END: Event = Event::InvocationEnded;

    /// The events of a request that succeeds, on a connection that is there.
    const REQUEST: [Event; 4] = [
        Event::ConnectionWanted { generation: 1 },
        Event::Lent { generation: 1 },
        Event::ReadSucceeded,
        Event::WriteSucceeded,
    ];

    fn shared() -> SharedHealth {
        let shared = SharedHealth::default();
        shared.observe(Event::Restarted { generation: 1 });
        shared
    }

    /// A plain server never ends an invocation, so the limit stays near for its whole life.
    #[test]
    fn process_without_the_end_of_invocations_takes_no_lock_though_the_limit_was_near() {
        let shared = shared();
        for crowding in [NEAR_LIMIT, FULL] {
            shared.observe(crowding);
            for event in REQUEST {
                assert!(shared.is_unaffected_by(event), "{event:?}");
            }
            assert!(!shared.is_settled());
        }
    }

    #[test]
    fn healthy_database_takes_no_lock() {
        let shared = shared();
        for event in [REQUEST.as_slice(), &[END]].concat() {
            assert!(shared.is_unaffected_by(event), "{event:?}");
        }
        assert!(!shared.is_unaffected_by(NEAR_LIMIT));
    }

    #[test]
    fn lock_is_taken_until_the_concern_is_settled() {
        let shared = shared();
        shared.observe(Event::ReadOnly { generation: 1 });
        let [wanted, lent, ..] = REQUEST;
        assert!(shared.is_unaffected_by(lent) && !shared.is_unaffected_by(wanted));
        assert_eq!(
            shared.observe(wanted),
            Action::AskProvider(Reason::ReadOnly)
        );
        assert!(shared.is_unaffected_by(wanted));
    }
}
