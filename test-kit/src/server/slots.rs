//! The places of the tests that run at a time, so that they do not want more connections than the
//! server has.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::registry::{Lock, Registry};
use crate::error::Error;

/// A place among the tests that run. It is free again when the value is dropped.
pub(super) struct Slot {
    number: i32,
    registry: Arc<Registry>,
}

impl Slot {
    /// Takes a place, and waits until one is free. Its lock is this process's, which therefore
    /// remembers the places that it has.
    pub(super) async fn take(registry: &Arc<Registry>) -> Result<Self, Error> {
        loop {
            let own: Vec<i32> = own().iter().copied().collect();
            if own.len() < usize::try_from(registry.slots).unwrap_or(usize::MAX) {
                let class = Lock::Slot as i32;
                let found = registry
                    .query(TAKE, &[&registry.slots, &own, &class])
                    .await?;
                if let Some(row) = found.first() {
                    let number = row.get(0);
                    // Another test of this process may have got the same one meanwhile.
                    if self::own().insert(number) {
                        return Ok(Self {
                            number,
                            registry: Arc::clone(registry),
                        });
                    }
                    unlock(registry, number).await;
                }
            }
            sleep(Duration::from_millis(fastrand::u64(2..20))).await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (registry, number) = (Arc::clone(&self.registry), self.number);
        // Without a runtime the process ends, and with it the lock.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                unlock(&registry, number).await;
                own().remove(&number);
            });
        }
    }
}

async fn unlock(registry: &Registry, number: i32) {
    let class = Lock::Slot as i32;
    let unlock = format!("SELECT pg_advisory_unlock({class}, {number})");
    if let Err(error) = registry.execute(&unlock).await {
        eprintln!("stagelink-test: {error:?}");
    }
}

/// The places that this process has.
fn own() -> MutexGuard<'static, BTreeSet<i32>> {
    static OWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tries one lock after the other until it gets one.
const TAKE: &str = "
    SELECT number FROM generate_series(1, $1::int) AS number
    WHERE number <> ALL ($2::int[]) AND pg_try_advisory_lock($3::int, number)
    LIMIT 1";
