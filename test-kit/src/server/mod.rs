//! The server of the tests, from the view of one process: its thread, its session, its databases.

mod clones;
mod registry;
mod slots;
mod sweep;
mod template;
mod thread;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use stagelink_local_postgres::{ServerOptions, ServerSource};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use self::clones::Clones;
use self::registry::Registry;
use self::slots::{Slot, Slots};
use self::template::Template;
use self::thread::on_thread;
use crate::error::Error;
use crate::migrations::Migrations;
use crate::relay::Relay;

/// A value that the first of several tasks makes.
type MadeOnce<T> = Arc<OnceCell<Arc<T>>>;

/// The server of the tests of this process that want one source.
pub(crate) struct TestServer {
    registry: Arc<Registry>,
    slots: Arc<Slots>,
    templates: Mutex<HashMap<String, MadeOnce<Clones>>>,
    /// The tests of this process that have a database.
    tests: AtomicUsize,
}

/// A database of a test's own, and the way to it.
pub(crate) struct TestDatabase {
    name: String,
    relay: Relay,
    clones: Arc<Clones>,
    _slot: Arc<Slot>,
}

impl TestServer {
    /// Returns this process's server of that source, and attaches to it or starts it first.
    ///
    /// # Errors
    ///
    /// When there is no server, or it does not let this process in.
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
        let registry = Registry::open(options, is_given).await?;
        registry.sweep().await;
        let registry = Arc::new(registry);
        Ok(Arc::new(Self {
            slots: Arc::new(Slots::new(Arc::clone(&registry))),
            registry,
            templates: Mutex::default(),
            tests: AtomicUsize::new(0),
        }))
    }

    /// Returns a database that has these migrations, for one test.
    ///
    /// # Errors
    ///
    /// When a migration fails, or the server does.
    pub(crate) async fn database(
        self: &Arc<Self>,
        migrations: Migrations,
    ) -> Result<TestDatabase, Error> {
        let server = Arc::clone(self);
        let test = Handle::try_current().ok().map(|runtime| runtime.id());
        on_thread(async move {
            let clones = server.clones(migrations).await?;
            let slot = server.slots.take(test).await?;
            let name = clones.claim().await?;
            let address = server.registry.address();
            let relay = Relay::open(address.0, address.1).await.map_err(|error| {
                Error::with_source("could not open a port on this machine", error)
            })?;
            server.tests.fetch_add(1, Ordering::Relaxed);
            Ok(TestDatabase {
                name,
                relay,
                clones,
                _slot: slot,
            })
        })
        .await
    }

    /// Makes clones ahead until that many are ready.
    pub(crate) async fn make_ahead(
        self: &Arc<Self>,
        migrations: Migrations,
        count: i64,
    ) -> Result<(), Error> {
        let server = Arc::clone(self);
        on_thread(async move { server.clones(migrations).await?.make_ahead(count).await }).await
    }

    /// Takes a database back. The last test of a process waits until all are dropped.
    pub(crate) async fn take_back(self: &Arc<Self>, database: TestDatabase) {
        let server = Arc::clone(self);
        let taken = on_thread(async move {
            let TestDatabase {
                name,
                relay,
                clones,
                _slot: slot,
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

    /// Ends the sessions of a database in the server.
    pub(crate) async fn end_sessions(self: &Arc<Self>, name: &str) -> Result<(), Error> {
        let (server, name) = (Arc::clone(self), name.to_owned());
        on_thread(async move { server.registry.end_sessions(&name).await }).await
    }

    async fn clones(self: &Arc<Self>, migrations: Migrations) -> Result<Arc<Clones>, Error> {
        let name = migrations.template_name();
        let cell = {
            let mut templates = self
                .templates
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(templates.entry(name.clone()).or_default())
        };
        let clones = cell.get_or_try_init(|| async {
            let template = Template::find_or_make(&self.registry, name, &migrations).await?;
            Ok(Arc::new(Clones::new(Arc::clone(&self.registry), template)))
        });
        clones.await.cloned()
    }
}

impl TestDatabase {
    pub(crate) fn name(&self) -> &str {
        &self.name
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
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}
