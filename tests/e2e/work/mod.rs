//! Reads, writes and transactions of the SDK that lose their connection.

mod connections;
mod foreign;
mod keys;
mod limits;
mod providers;
mod servers;
mod transactions;
mod writes;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join;
use stagelink::{
    Client, Credentials, Database, DatabaseUrl, Error, IDEMPOTENCY_TABLE, IdempotencyKey, Limits,
    Provider, ResolveRequest, ServerSettings, Stage,
};
use stagelink_local::network::Proxy;
use stagelink_local_postgres::Database as LocalDatabase;
use stagelink_tests::{as_superuser, database, end_sessions, proxy, server, through};
use tokio_postgres::types::Type;

/// Provider whose URL a test can change, and which counts its requests.
#[derive(Clone)]
struct ChangeableProvider {
    url: Arc<Mutex<String>>,
    requests: Arc<AtomicUsize>,
}

impl ChangeableProvider {
    fn new(url: &str) -> Self {
        Self {
            url: Arc::new(Mutex::new(url.to_owned())),
            requests: Arc::default(),
        }
    }

    fn set(&self, url: &str) {
        url.clone_into(&mut self.url.lock().expect("a URL"));
    }

    fn request_count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Provider for ChangeableProvider {
    async fn resolve(&self, _: &ResolveRequest) -> Result<Credentials, Error> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let url = DatabaseUrl::parse(&self.url.lock().expect("a URL"), "a test")?;
        Ok(Credentials::new(url, "a test"))
    }
}

fn database_of(provider: ChangeableProvider, limits: Limits) -> Database {
    Database::with_provider(Stage::STAGING, provider, limits, ServerSettings::default())
}

/// Database behind a proxy that simulates a faulty network, and a link to it.
struct WorkFixture {
    database: LocalDatabase,
    proxy: Proxy,
    provider: ChangeableProvider,
    link: Database,
}

impl WorkFixture {
    async fn new() -> Self {
        let database = database().await;
        let proxy = proxy().await;
        let provider = ChangeableProvider::new(&through(&proxy, &database.url()));
        let link = database_of(provider.clone(), Limits::default());
        let fixture = Self {
            database,
            proxy,
            provider,
            link,
        };
        let admin = fixture.connect_directly().await;
        admin
            .batch_execute("CREATE TABLE entry (id bigserial, name text UNIQUE)")
            .await
            .expect("a table");
        admin
            .batch_execute(IDEMPOTENCY_TABLE)
            .await
            .expect("a table");
        fixture
    }

    /// Opens a connection that bypasses the proxy, by another link.
    async fn connect_directly(&self) -> Client {
        let provider = ChangeableProvider::new(&self.database.url());
        database_of(provider, Limits::default())
            .client()
            .await
            .expect("the database can be reached")
    }

    /// Returns links to the same database, each with connections of its own.
    fn links(&self, number: usize) -> Vec<Database> {
        (0..number)
            .map(|_| database_of(self.provider.clone(), Limits::default()))
            .collect()
    }

    /// Returns another link, whose work is tried again for 300 ms at most.
    fn impatient_link(&self) -> Database {
        let mut limits = Limits::default();
        limits.retry = Duration::from_millis(300);
        database_of(self.provider.clone(), limits)
    }

    /// Returns the number of rows with this name.
    async fn count(&self, name: &str) -> i64 {
        let sql = "SELECT count(*) FROM entry WHERE name = $1";
        let row = self.connect_directly().await;
        let row = row.query_typed_one(sql, &[(&name, Type::TEXT)]).await;
        row.expect("a count").get(0)
    }

    /// Waits until an entry exists, without a limit.
    async fn wait_for_entry(&self, name: &str) {
        while self.count(name).await == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until one of the role's sessions runs a statement of this kind.
    async fn wait_for_statement(&self, part: &str) {
        let admin = server()
            .await
            .connect_as_superuser()
            .await
            .expect("a superuser");
        let sql = "SELECT count(*) FROM pg_stat_activity \
             WHERE usename = $1 AND state = 'active' AND query LIKE '%' || $2 || '%'";
        let role = self.database.role();
        loop {
            let parameters = [(&role as _, Type::TEXT), (&part as _, Type::TEXT)];
            let row = admin.query_typed_one(sql, &parameters).await;
            if row.expect("a count").get::<_, i64>(0) > 0 {
                return;
            }
        }
    }

    /// Terminates the role's sessions, as a rotation or a restart does.
    async fn end_sessions(&self) {
        as_superuser(&end_sessions(self.database.role())).await;
    }

    async fn read(&self) -> Result<i64, Error> {
        self.link
            .read(|db| async move {
                let row = db
                    .query_typed_one("SELECT count(*) FROM entry", &[])
                    .await?;
                Ok(row.get(0))
            })
            .await
    }

    async fn write(&self, name: &str) -> Result<u64, Error> {
        self.link
            .write(|db| async move { insert(&db, name, INSERT).await })
            .await
    }

    /// Inserts an entry by a statement that takes half a second.
    async fn write_slowly(&self, name: &str) -> Result<u64, Error> {
        self.link
            .write(|db| async move { insert(&db, name, SLOW_INSERT).await })
            .await
    }

    async fn write_once(&self, key: &IdempotencyKey, name: &str) -> Result<i64, Error> {
        self.link
            .write_once(key, |db| async move {
                let sql = "INSERT INTO entry (name) VALUES ($1) RETURNING id";
                let row = db.query_typed_one(sql, &[(&name, Type::TEXT)]).await?;
                Ok(row.get(0))
            })
            .await
    }
}

const INSERT: &str = "INSERT INTO entry (name) VALUES ($1)";
const SLOW_INSERT: &str = "INSERT INTO entry (name) SELECT $1 FROM pg_sleep(0.5)";

async fn insert(db: &tokio_postgres::Client, name: &str, sql: &str) -> Result<u64, Error> {
    Ok(db.execute_typed(sql, &[(&name, Type::TEXT)]).await?)
}

fn key(name: &str) -> IdempotencyKey {
    let mut request = lambda_http::Request::new(lambda_http::Body::from(name));
    let value = name.parse().expect("a header's value");
    request.headers_mut().insert("idempotency-key", value);
    IdempotencyKey::from_request(&request)
        .expect("a good key")
        .expect("a key")
}

async fn pid(db: &tokio_postgres::Client) -> i32 {
    let row = db.query_typed_one("SELECT pg_backend_pid()", &[]).await;
    row.expect("a row").get(0)
}

/// Cuts the network after the database has received the write, and before the client gets the
/// reply.
async fn cut_after_the_commit<T>(
    fixture: &WorkFixture,
    name: &str,
    work: impl Future<Output = T>,
) -> T {
    fixture.proxy.delay(Duration::from_millis(700));
    let cut = async {
        fixture.wait_for_entry(name).await;
        fixture.proxy.cut();
        fixture.proxy.delay(Duration::ZERO);
    };
    join(work, cut).await.0
}
