//! The places of the tests that run at a time, so that they do not want more connections than the
//! server has.
//!
//! A place is a test's and not a stage's: a test that has one gets its further stages without another.
//! So no test waits for a place while it keeps one, and tests with several stages cannot wait for each
//! other for ever. A test is known by the runtime that it runs on.
//!
//! A process has a session with the server while it has a place, and for a moment after that. One that
//! waits has none: the processes of a machine wait at the entrance, and those whose turn it is open a
//! session and look for a place. So the sessions are few, however many processes there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stagelink_local_postgres::SharedServer;
use tokio::runtime::Id;
use tokio::time::{Instant, sleep};

use super::entrance::Entrance;
use super::registry::MOST_SLOTS;
use super::session::Session;
use super::thread::thread;
use super::wait::{Goal, Wait};
use crate::error::Error;

/// The places of a server, from the view of one process.
pub(super) struct Slots {
    server: Arc<SharedServer>,
    /// The server was given by its URL.
    is_given: bool,
    entrance: Arc<Entrance>,
    /// The session of this process, if it has one. The test whose turn it is has the lock.
    session: tokio::sync::Mutex<Weak<Session>>,
    of_tests: Mutex<HashMap<Id, Weak<Slot>>>,
}

/// A place among the tests that run. It is free again when the value is dropped.
pub(super) struct Slot {
    number: i32,
    session: Arc<Session>,
    entrance: Arc<Entrance>,
}

impl Slots {
    pub(super) fn new(server: Arc<SharedServer>, is_given: bool) -> Self {
        // Those at a door have a session and no place. A server that was given may be small.
        let doors = if is_given { 1 } else { DOORS };
        Self {
            entrance: Arc::new(Entrance::new(&server, doors)),
            server,
            is_given,
            session: tokio::sync::Mutex::default(),
            of_tests: Mutex::default(),
        }
    }

    /// Returns the place that the test of this runtime has, or takes one and waits until one is free.
    ///
    /// # Errors
    ///
    /// When the server fails, or none gets free for so long that the tests which have them hardly go on.
    pub(super) async fn take(&self, test: Option<Id>) -> Result<Arc<Slot>, Error> {
        if let Some(slot) = self.slot_of(test) {
            return Ok(slot);
        }
        let mut wait = Wait::new();
        let own = async { Ok(self.session.lock().await) };
        let mut own = wait.until(Goal::Turn, own).await?;
        // Another stage of the test may have got one meanwhile.
        if let Some(slot) = self.slot_of(test) {
            return Ok(slot);
        }
        let turn = async { Ok(self.entrance.pass().await) };
        let _turn = wait.until(Goal::Turn, turn).await?;
        let session = match own.upgrade() {
            Some(session) if !session.registry.is_closed() => session,
            _ => {
                let opened = Session::open(Arc::clone(&self.server), self.is_given);
                let opened = Arc::new(wait.until(Goal::Connection, opened).await?);
                *own = Arc::downgrade(&opened);
                opened
            }
        };
        let taken = async {
            loop {
                if let Some(number) = session.try_take_slot().await? {
                    return Ok(number);
                }
                sleep(Duration::from_millis(fastrand::u64(2..20))).await;
            }
        };
        let number = wait
            .until(Goal::Place(session.registry.slots), taken)
            .await?;
        let slot = Arc::new(Slot {
            number,
            session,
            entrance: Arc::clone(&self.entrance),
        });
        let mut of_tests = self.of_tests();
        of_tests.retain(|_, slot| slot.strong_count() > 0);
        if let Some(test) = test {
            of_tests.insert(test, Arc::downgrade(&slot));
        }
        Ok(slot)
    }

    fn slot_of(&self, test: Option<Id>) -> Option<Arc<Slot>> {
        let slot = self.of_tests().get(&test?)?.upgrade()?;
        // The server has taken the place back with the session.
        (!slot.session.registry.is_closed()).then_some(slot)
    }

    fn of_tests(&self) -> MutexGuard<'_, HashMap<Id, Weak<Slot>>> {
        self.of_tests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Returns the session that has the place.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (session, number) = (Arc::clone(&self.session), self.number);
        let entrance = Arc::clone(&self.entrance);
        // The runtime of a test may end before it unlocks anything.
        thread().spawn(async move {
            if let Err(error) = session.release_slot(number).await {
                eprintln!("stagelink-test: {error:?}");
            }
            let ends = Instant::now() + KEPT_FOR;
            while Instant::now() < ends && !entrance.is_full() {
                sleep(LOOK_AGAIN).await;
            }
            drop(session);
        });
    }
}

/// The processes of a machine that look for a place at a time on a shared server: so many that those of
/// a machine with many processors do not wait for each other where places are free.
const DOORS: usize = MOST_SLOTS as usize / 4;

/// The time for which a process keeps its session after its last place, for its next test, unless others
/// wait for one.
const KEPT_FOR: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
