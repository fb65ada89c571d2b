//! The places of the tests that run at a time, so that they do not want more connections than the
//! server has.
//!
//! A place is a test's and not a stage's: a test that has one gets its further stages without another.
//! So no test waits for a place while it keeps one, and tests with several stages cannot wait for each
//! other for ever. A test is known by the runtime that it runs on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Id;
use tokio::time::{Instant, sleep};

use super::registry::{Lock, Registry};
use super::thread::thread;
use crate::error::Error;

/// The places of a server, from the view of one process.
pub(super) struct Slots {
    registry: Arc<Registry>,
    own: Mutex<OwnSlots>,
}

/// The places that this process has.
#[derive(Default)]
struct OwnSlots {
    numbers: BTreeSet<i32>,
    of_tests: HashMap<Id, Weak<Slot>>,
}

/// A place among the tests that run. It is free again when the value is dropped.
pub(super) struct Slot {
    number: i32,
    slots: Arc<Slots>,
}

impl Slots {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            own: Mutex::default(),
        }
    }

    /// Returns the place that the test of this runtime has, or takes one and waits until one is free. Its
    /// lock is this process's, which therefore remembers the places that it has.
    ///
    /// # Errors
    ///
    /// When none gets free for so long that the tests which have them hardly go on.
    pub(super) async fn take(self: &Arc<Self>, test: Option<Id>) -> Result<Arc<Slot>, Error> {
        let count = self.registry.slots;
        let mut wait = Wait::new(Instant::now());
        loop {
            let own: Vec<i32> = {
                let own = self.own();
                // Another stage of the test may have got one meanwhile.
                if let Some(slot) = test.and_then(|test| own.of_tests.get(&test)?.upgrade()) {
                    return Ok(slot);
                }
                own.numbers.iter().copied().collect()
            };
            if own.len() < usize::try_from(count).unwrap_or(usize::MAX) {
                let class = Lock::Slot as i32;
                let found = self.registry.query(TAKE, &[&count, &own, &class]).await?;
                if let Some(row) = found.first() {
                    let number = row.get(0);
                    if let Some(slot) = self.keep(number, test) {
                        return Ok(slot);
                    }
                    // Another test of this process has got the same one meanwhile.
                    self.unlock(number).await;
                }
            }
            match wait.look(Instant::now()) {
                Look::Again => {}
                Look::Tell => eprintln!(
                    "stagelink-test: a test waits for one of the {count} places on its server"
                ),
                Look::GiveUp => return Err(none_free(count)),
            }
            sleep(Duration::from_millis(fastrand::u64(2..20))).await;
        }
    }

    /// Notes a place as this process's and the test's, unless this process has it already.
    fn keep(self: &Arc<Self>, number: i32, test: Option<Id>) -> Option<Arc<Slot>> {
        let mut own = self.own();
        if !own.numbers.insert(number) {
            return None;
        }
        let slot = Arc::new(Slot {
            number,
            slots: Arc::clone(self),
        });
        own.of_tests.retain(|_, slot| slot.strong_count() > 0);
        if let Some(test) = test {
            own.of_tests.insert(test, Arc::downgrade(&slot));
        }
        Some(slot)
    }

    async fn unlock(&self, number: i32) {
        let class = Lock::Slot as i32;
        let unlock = format!("SELECT pg_advisory_unlock({class}, {number})");
        if let Err(error) = self.registry.execute(&unlock).await {
            eprintln!("stagelink-test: {error:?}");
        }
    }

    fn own(&self) -> MutexGuard<'_, OwnSlots> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (slots, number) = (Arc::clone(&self.slots), self.number);
        // The runtime of a test may end before it unlocks anything.
        thread().spawn(async move {
            slots.unlock(number).await;
            slots.own().numbers.remove(&number);
        });
    }
}

/// The wait for a place.
struct Wait {
    since: Instant,
    is_told: bool,
}

/// The next step where no place is free.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Again,
    Tell,
    GiveUp,
}

impl Wait {
    fn new(since: Instant) -> Self {
        Self {
            since,
            is_told: false,
        }
    }

    fn look(&mut self, now: Instant) -> Look {
        let waited = now - self.since;
        if waited > LIMIT {
            return Look::GiveUp;
        }
        if waited > QUIET && !self.is_told {
            self.is_told = true;
            return Look::Tell;
        }
        Look::Again
    }
}

fn none_free(slots: i32) -> Error {
    Error::new(format!(
        "no place was free for this test within {} minutes: its server lets {slots} tests run at a time. \
         Run fewer at once (`--test-threads {slots}`), give them a server with a larger max_connections, \
         or finish the stages of tests that go on without them",
        LIMIT.as_secs() / 60
    ))
}

/// Tries one lock after the other until it gets one.
const TAKE: &str = "
    SELECT number FROM generate_series(1, $1::int) AS number
    WHERE number <> ALL ($2::int[]) AND pg_try_advisory_lock($3::int, number)
    LIMIT 1";

/// The time for which a test waits without a word: longer than most others run.
const QUIET: Duration = Duration::from_secs(20);

/// The longest wait. Tests of many minutes at that many places are rare.
const LIMIT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_told_once_and_ends() {
        let since = Instant::now();
        let mut wait = Wait::new(since);
        let looks = [1, 21, 22, 599, 601].map(|seconds| {
            let now = since + Duration::from_secs(seconds);
            wait.look(now)
        });
        let expected = [
            Look::Again,
            Look::Tell,
            Look::Again,
            Look::Again,
            Look::GiveUp,
        ];
        assert_eq!(looks, expected);
        let error = none_free(4).to_string();
        assert!(error.contains("--test-threads 4"), "{error}");
        assert!(error.contains("max_connections"), "{error}");
    }
}
