//! One Postgres for the tests of promotion, and a database for each of them.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use stagelink::tokio_postgres::Client;
use stagelink::{Database, Settings};
use stagelink_local_postgres::{Database as OwnDatabase, Server, ServerOptions};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// A database of a test's own.
pub(super) struct TestDatabase {
    pub(super) database: OwnDatabase,
}

/// Part of each password.
pub(super) const CANARY: &str = "c4n4ry";

impl TestDatabase {
    pub(super) async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("promotion_{}_{number}", std::process::id());
        let password = format!("{CANARY}-{name}");
        let created = server().await.create_database(&name, &password).await;
        Self {
            database: created.expect("a database"),
        }
    }

    /// Returns the database as that of a stage.
    pub(super) fn of(&self, stage: &str) -> Database {
        self.at(stage, &self.database.url())
    }

    /// Returns the database as that of a stage, by another URL.
    pub(super) fn at(&self, stage: &str, url: &str) -> Database {
        let settings = Settings::from_vars([
            ("STAGELINK_STAGE", stage),
            ("STAGELINK_PROVIDER", "url"),
            ("DATABASE_URL", url),
        ]);
        Database::new(settings.map(Settings::without_pooler))
    }

    /// Opens a session of the database's own role.
    pub(super) async fn session(&self) -> Client {
        let session = server().await.connect(&self.database).await;
        session.expect("a session")
    }

    pub(super) async fn run(&self, sql: &str) {
        let done = self.session().await.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Returns the first column of a query's rows as texts.
    pub(super) async fn rows(&self, sql: &str) -> Vec<String> {
        let rows = self.session().await.query(sql, &[]).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// Runs SQL as a superuser.
pub(super) async fn as_superuser(sql: &str) {
    let admin = server().await.connect_as_superuser().await;
    let done = admin.expect("a superuser").batch_execute(sql).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Returns the Postgres of this run, which lasts as long as the process: a test's own runtime ends
/// with the test.
async fn server() -> &'static Server {
    static SHARED: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads"));
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    let start = async || {
        let source = std::env::var("STAGELINK_POSTGRES").unwrap_or_else(|_| "auto".to_owned());
        let source = source.parse().expect("a source of Postgres");
        let started = Server::start(ServerOptions::new().source(source));
        let started = SHARED.spawn(started).await.expect("it does not panic");
        started.unwrap_or_else(|error| panic!("the tests need a Postgres: {error}"))
    };
    SERVER.get_or_init(start).await
}
