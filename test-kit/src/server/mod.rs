//! The server of the tests, from the view of one process: its thread, its places, its databases.

mod clones;
mod entrance;
mod registry;
mod session;
mod slots;
mod sweep;
mod template;
mod thread;
mod wait;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use stagelink_local_postgres::{ServerOptions, ServerSource, SharedServer};
use tokio::runtime::{Handle, Id};
use tokio::sync::OnceCell;

use self::clones::Clones;
use self::session::MadeOnce;
use self::slots::{Slot, Slots};
use self::thread::on_thread;
use crate::error::Error;
use crate::migrations::Migrations;
use crate::relay::Relay;

/// The server of the tests of this process that want one source.
pub(crate) struct TestServer {
    server: Arc<SharedServer>,
    slots: Slots,
    /// The leftovers of earlier runs are removed.
    swept: OnceCell<()>,
    /// The tests of this process that have a database.
    tests: AtomicUsize,
}

/// A database of a test's own, and the way to it.
pub(crate) struct TestDatabase {
    name: String,
    relay: Relay,
    clones: Arc<Clones>,
    slot: Arc<Slot>,
}

impl TestServer {
    /// Returns this process's server of that source, and attaches to it or starts it first.
    ///
    /// # Errors
    ///
    /// When there is no server.
    pub(crate) async fn of(source: ServerSource) -> Result<Arc<Self>, Error> {
        static SERVERS: LazyLock<Mutex<HashMap<String, MadeOnce<TestServer>>>> =
            LazyLock::new(Mutex::default);

        // The text has no password.
        let key = format!("{source:?}");
        let cell = {
            let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(servers.entry(key).or_default())
        };
        let server = cell.get_or_try_init(|| on_thread(Self::attach(source)));
        server.await.cloned()
    }

    async fn attach(source: ServerSource) -> Result<Arc<Self>, Error> {
        let is_given = matches!(source, ServerSource::Url(_));
        let options = ServerOptions::new()
            .source(source)
            // The first start on a machine may fetch a server, which takes a while.
            .on_progress(|message| eprintln!("stagelink-test: {message}"));
        let server = SharedServer::attach(options).await.map_err(|error| {
            let message = "could not get a Postgres server for the tests";
            Error::with_source(message, error)
        })?;
        let server = Arc::new(server);
        Ok(Arc::new(Self {
            slots: Slots::new(Arc::clone(&server), is_given),
            server,
            swept: OnceCell::new(),
            tests: AtomicUsize::new(0),
        }))
    }

    /// Returns a database that has these migrations, for one test.
    ///
    /// # Errors
    ///
    /// When no place gets free, a migration fails, or the server does.
    pub(crate) async fn database(
        self: &Arc<Self>,
        migrations: Migrations,
    ) -> Result<TestDatabase, Error> {
        let server = Arc::clone(self);
        let test = Handle::try_current().ok().map(|runtime| runtime.id());
        let database = on_thread(async move {
            let slot = server.take_slot(test).await?;
            let clones = slot.session().clones(&migrations).await?;
            let name = clones.claim().await?;
            let relay = Relay::open(server.server.host(), server.server.port());
            let relay = relay.await.map_err(|error| {
                Error::with_source("could not open a port on this machine", error)
            })?;
            Ok(TestDatabase {
                name,
                relay,
                clones,
                slot,
            })
        });
        let database = database.await?;
        // Not before: a test that is cancelled as it waits gives none back.
        self.tests.fetch_add(1, Ordering::Relaxed);
        Ok(database)
    }

    /// Takes a place, and removes what earlier runs have left.
    async fn take_slot(&self, test: Option<Id>) -> Result<Arc<Slot>, Error> {
        let slot = self.slots.take(test).await?;
        self.swept
            .get_or_init(|| slot.session().registry.sweep())
            .await;
        Ok(slot)
    }

    /// Makes clones ahead until that many are ready.
    pub(crate) async fn make_ahead(
        self: &Arc<Self>,
        migrations: Migrations,
        count: i64,
    ) -> Result<(), Error> {
        let server = Arc::clone(self);
        let test = Handle::try_current().ok().map(|runtime| runtime.id());
        on_thread(async move {
            let slot = server.take_slot(test).await?;
            let clones = slot.session().clones(&migrations).await?;
            clones.make_ahead(count).await
        })
        .await
    }

    /// Takes a database back. The last test of a process waits until all are dropped.
    pub(crate) async fn take_back(self: &Arc<Self>, database: TestDatabase) {
        let server = Arc::clone(self);
        let taken = on_thread(async move {
            let TestDatabase {
                name,
                relay,
                clones,
                slot,
            } = database;
            let was_used = relay.opened() > 0;
            drop(relay);
            let is_last = server.tests.fetch_sub(1, Ordering::Relaxed) == 1;
            let dropped = clones.give_back(name, was_used, is_last).await;
            drop(slot);
            if is_last {
                clones.wait_for_drops().await;
            }
            dropped
        });
        if let Err(error) = taken.await {
            // The next run removes it.
            eprintln!("stagelink-test: {error:?}");
        }
    }
}

impl TestDatabase {
    /// Ends its sessions in the server. The future does not borrow the database.
    pub(crate) fn end_sessions(&self) -> impl Future<Output = Result<(), Error>> + use<> {
        let (slot, name) = (Arc::clone(&self.slot), self.name.clone());
        on_thread(async move { slot.session().registry.end_sessions(&name).await })
    }

    pub(crate) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Returns the URL of the database. It has the password.
    pub(crate) fn url(&self) -> String {
        // Letters, digits and underscores alone.
        let (role, password) = self.clones.owner();
        let (port, name) = (self.relay.port(), &self.name);
        format!("postgres://{role}:{password}@127.0.0.1:{port}/{name}")
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}
