//! A session of a process with the registry, and what its locks protect.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stagelink_local_postgres::SharedServer;
use tokio::sync::OnceCell;

use super::clones::Clones;
use super::registry::{Lock, Registry};
use super::template::Template;
use crate::error::Error;
use crate::migrations::Migrations;

/// A session of this process with the registry. Its locks are the session's, so it lasts as long as
/// anything that they protect.
pub(super) struct Session {
    pub(super) registry: Arc<Registry>,
    /// The places that it has the locks of.
    slots: Mutex<BTreeSet<i32>>,
    templates: Mutex<HashMap<String, MadeOnce<Clones>>>,
}

/// A value that the first of several tasks makes.
pub(super) type MadeOnce<T> = Arc<OnceCell<Arc<T>>>;

impl Session {
    pub(super) async fn open(server: Arc<SharedServer>, is_given: bool) -> Result<Self, Error> {
        Ok(Self {
            registry: Arc::new(Registry::open(server, is_given).await?),
            slots: Mutex::default(),
            templates: Mutex::default(),
        })
    }

    /// Takes the first place that is free, if one is. The caller sees to it that no other task of this
    /// process takes one meanwhile.
    pub(super) async fn try_take_slot(&self) -> Result<Option<i32>, Error> {
        let (count, class) = (self.registry.slots, Lock::Slot as i32);
        // The server would give this session another lock on a place that it has.
        let own: Vec<i32> = self.slots().iter().copied().collect();
        let taken = self.registry.query(TAKE, &[&count, &own, &class]).await?;
        let number = taken.first().map(|row| row.get(0));
        self.slots().extend(number);
        Ok(number)
    }

    pub(super) async fn release_slot(&self, number: i32) -> Result<(), Error> {
        let class = Lock::Slot as i32;
        let unlock = format!("SELECT pg_advisory_unlock({class}, {number})");
        let unlocked = self.registry.execute(&unlock).await;
        self.slots().remove(&number);
        unlocked
    }

    /// Returns the clones of a template with these migrations, which the first caller finds or makes.
    pub(super) async fn clones(&self, migrations: &Migrations) -> Result<Arc<Clones>, Error> {
        let name = migrations.template_name();
        let cell = {
            let mut templates = self
                .templates
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(templates.entry(name.clone()).or_default())
        };
        let clones = cell.get_or_try_init(|| async {
            let template = Template::find_or_make(&self.registry, name, migrations).await?;
            Ok(Arc::new(Clones::new(Arc::clone(&self.registry), template)))
        });
        clones.await.cloned()
    }

    fn slots(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries one lock after the other until it gets one.
const TAKE: &str = "
    SELECT number FROM generate_series(1, $1::int) AS number
    WHERE number <> ALL ($2::int[]) AND pg_try_advisory_lock($3::int, number)
    LIMIT 1";
