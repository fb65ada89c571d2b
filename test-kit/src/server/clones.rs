//! The clones of a template: made ahead, given to tests, and dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use stagelink_local_postgres::tokio_postgres::Client;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::registry::{Lock, Registry, failed};
use super::template::{Template, restore_role};
use crate::error::Error;

/// The clones of a template, from the view of one process.
pub(super) struct Clones {
    registry: Arc<Registry>,
    template: Template,
    /// A session for statements that take long. It is opened with the first of them.
    session: Mutex<Option<Client>>,
    is_making: AtomicBool,
    /// The databases that this process has yet to drop.
    drops: AtomicUsize,
}

impl Clones {
    pub(super) fn new(registry: Arc<Registry>, template: Template) -> Self {
        Self {
            registry,
            template,
            session: Mutex::default(),
            is_making: AtomicBool::new(false),
            drops: AtomicUsize::new(0),
        }
    }

    /// Returns the role that owns the clones, and its password.
    pub(super) fn owner(&self) -> (&str, &str) {
        (&self.template.name, &self.template.password.0)
    }

    /// Returns a clone that is ready, for one test. Where there is none, waits for one.
    pub(super) async fn claim(self: &Arc<Self>) -> Result<String, Error> {
        let deadline = Instant::now() + CLAIM_LIMIT;
        let class = Lock::Clone as i32;
        loop {
            let template = &self.template.name;
            let claimed = self.registry.query(CLAIM, &[template, &class]).await?;
            let ready = claimed.first().map_or(0, |row| row.get::<_, i64>(1) - 1);
            if ready < AHEAD && !self.is_making.swap(true, Ordering::AcqRel) {
                let clones = Arc::clone(self);
                tokio::spawn(async move {
                    let made = clones.make_until(AHEAD).await;
                    clones.is_making.store(false, Ordering::Release);
                    if let Err(error) = made {
                        eprintln!("stagelink-test: {error:?}");
                    }
                });
            }
            if let Some(row) = claimed.first() {
                if row.get(2) {
                    restore_role(&self.registry, template).await?;
                }
                return Ok(row.get(0));
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!(
                    "no database was made for this test within {} s: does another program keep \
                     the server busy?",
                    CLAIM_LIMIT.as_secs()
                )));
            }
            sleep(Duration::from_millis(fastrand::u64(3..12))).await;
        }
    }

    /// Makes clones ahead until that many are ready.
    pub(super) async fn make_ahead(&self, count: i64) -> Result<(), Error> {
        loop {
            if self.ready().await? >= count {
                return Ok(());
            }
            self.make_until(count).await?;
            // Another process may be making them.
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn ready(&self) -> Result<i64, Error> {
        let rows = self.registry.query(READY, &[&self.template.name]).await?;
        Ok(rows.first().map_or(0, |row| row.get(0)))
    }

    /// Makes clones until that many are ready, where this process gets a place among those that do.
    async fn make_until(&self, count: i64) -> Result<(), Error> {
        let class = Lock::Maker as i32;
        let places = self.registry.query(PLACE, &[&MAKERS, &class]).await?;
        let Some(place) = places.first() else {
            return Ok(());
        };
        let place: i32 = place.get(0);
        let mut made = Ok(());
        while made.is_ok() && self.ready().await? < count {
            made = self.make().await;
        }
        let unlock = format!("SELECT pg_advisory_unlock({class}, {place})");
        self.registry.execute(&unlock).await?;
        made
    }

    /// Makes a clone. Where this process ends meanwhile, the server finishes it or takes it back, and
    /// the next process finds out which.
    async fn make(&self) -> Result<(), Error> {
        let (template, class) = (&self.template.name, Lock::Clone as i32);
        let name = format!("stagelink_test_c_{:016x}", fastrand::u64(..));
        self.registry
            .query(BEGIN, &[&name, template, &class])
            .await?;
        let create = format!(
            "CREATE DATABASE {name} TEMPLATE {template} OWNER {template} CONNECTION LIMIT \
             {CONNECTIONS}{}",
            self.registry.strategy()
        );
        let created = self.long(&create).await;
        match created {
            Ok(()) => self.finish(&name).await,
            Err(error) => {
                self.registry.query(FORGET, &[&name, &class]).await?;
                Err(error)
            }
        }
    }

    /// Says that a clone is ready. Its lock is released after that: a used one without a lock is
    /// dropped.
    async fn finish(&self, name: &str) -> Result<(), Error> {
        let class = Lock::Clone as i32;
        self.registry.query(FINISH, &[&name]).await?;
        let unlock = format!("SELECT pg_advisory_unlock({class}, hashtext('{name}'))");
        self.registry.execute(&unlock).await
    }

    /// Takes a clone back from its test, the last one that runs or not. A clone that no session has seen is
    /// ready for another test.
    pub(super) async fn give_back(
        self: &Arc<Self>,
        name: String,
        was_used: bool,
        is_last: bool,
    ) -> Result<(), Error> {
        let class = Lock::Clone as i32;
        if !was_used {
            return self.finish(&name).await;
        }
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        if is_last {
            // No other test of this process waits for its session.
            self.registry.execute(&drop).await?;
            self.registry.query(FORGET, &[&name, &class]).await?;
            return Ok(());
        }
        self.drops.fetch_add(1, Ordering::AcqRel);
        let clones = Arc::clone(self);
        tokio::spawn(async move {
            let dropped = match clones.long(&drop).await {
                Ok(()) => clones
                    .registry
                    .query(FORGET, &[&name, &class])
                    .await
                    .map(drop_rows),
                Err(error) => Err(error),
            };
            clones.drops.fetch_sub(1, Ordering::AcqRel);
            if let Err(error) = dropped {
                // The next process drops it.
                eprintln!("stagelink-test: {error:?}");
            }
        });
        Ok(())
    }

    /// Waits until the databases of this process are dropped.
    pub(super) async fn wait_for_drops(&self) {
        let deadline = Instant::now() + DROP_LIMIT;
        while self.drops.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs a statement that takes long, one at a time.
    async fn long(&self, statement: &str) -> Result<(), Error> {
        let mut session = self.session.lock().await;
        let client = match &mut *session {
            Some(client) if !client.is_closed() => client,
            other => other.insert(self.registry.another_session().await?),
        };
        client.batch_execute(statement).await.map_err(failed)
    }
}

fn drop_rows<T>(_: T) {}

/// Claims a clone, and returns the number of those that were ready, and whether a test has changed the role.
/// Forgets those that are gone: a test may drop any, since its role owns all.
///
/// The clone gets the settings that the migrations have made for their database, and for roles in it (`ALTER
/// DATABASE … SET`), since `CREATE DATABASE` copies none of them. The rows are copied as they are: a list such as
/// `search_path` needs no quoting then. It happens here, so that a clone has them whichever way it became ready.
const CLAIM: &str = "
    WITH found AS (
        SELECT name FROM public.clone WHERE template = $1::text AND state = 'ready'
        AND EXISTS (SELECT FROM pg_database WHERE datname = clone.name)
        ORDER BY made_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM public.clone WHERE name IN (
            SELECT name FROM public.clone WHERE template = $1::text AND state = 'ready'
            AND NOT EXISTS (SELECT FROM pg_database WHERE datname = clone.name)
            FOR UPDATE SKIP LOCKED
        )
    ), settings AS (
        INSERT INTO pg_db_role_setting (setdatabase, setrole, setconfig)
        SELECT own.oid, setrole, setconfig
        FROM found JOIN pg_database AS own ON own.datname = found.name
        JOIN pg_database AS template ON template.datname = $1::text
        JOIN pg_db_role_setting AS kept ON kept.setdatabase = template.oid
        WHERE NOT EXISTS (
            SELECT FROM pg_db_role_setting AS other
            WHERE other.setdatabase = own.oid AND other.setrole = kept.setrole
        )
    )
    UPDATE public.clone SET state = 'used' FROM found WHERE clone.name = found.name
    RETURNING clone.name,
        (SELECT count(*) FROM public.clone WHERE template = $1::text AND state = 'ready'
         AND EXISTS (SELECT FROM pg_database WHERE datname = clone.name)),
        (SELECT rolpassword IS DISTINCT FROM verifier OR settings IS DISTINCT FROM (
            SELECT setconfig FROM pg_db_role_setting WHERE setrole = role.oid AND setdatabase = 0
         ) FROM pg_authid AS role, public.template WHERE rolname = $1::text AND template.name = $1::text),
        pg_advisory_lock($2::int, hashtext(clone.name))";

const READY: &str = "
    SELECT count(*) FROM public.clone WHERE template = $1 AND state = 'ready'
    AND EXISTS (SELECT FROM pg_database WHERE datname = clone.name)";

const PLACE: &str = "
    SELECT number FROM generate_series(1, $1::int) AS number
    WHERE pg_try_advisory_lock($2::int, number) LIMIT 1";

const BEGIN: &str = "
    INSERT INTO public.clone (name, template, state) VALUES ($1, $2, 'making')
    RETURNING pg_advisory_lock($3::int, hashtext(name))";

const FINISH: &str = "
    UPDATE public.clone SET state = 'ready', made_at = now() WHERE name = $1";

const FORGET: &str = "
    DELETE FROM public.clone WHERE name = $1
    RETURNING pg_advisory_unlock($2::int, hashtext(name))";

/// The number of clones that are ready before tests want them: 8 MB of the disk each.
const AHEAD: i64 = 16;

/// The number of processes that make clones at a time. More would take the time of the tests.
const MAKERS: i32 = 2;

/// The limit of a database's connections, as of the roles of Heroku's smallest plans (2026-03).
const CONNECTIONS: u32 = 20;

/// Longer than a machine takes that is busy with many tests, and shorter than a person waits.
const CLAIM_LIMIT: Duration = Duration::from_secs(300);
const DROP_LIMIT: Duration = Duration::from_secs(10);
