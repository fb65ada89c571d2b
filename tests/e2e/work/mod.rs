//! Reads, writes and transactions of the SDK that lose their connection.

mod connections;
mod foreign;
mod gate;
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
use stagelink_tests::{as_superuser, database, end_sessions, patient_limits, proxy, through};
use tokio_postgres::types::Type;

use self::gate::{Gate, gate};

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
        let link = database_of(provider.clone(), patient_limits());
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
        database_of(provider, patient_limits())
            .client()
            .await
            .expect("the database can be reached")
    }

    /// Returns links to the same database, each with connections of its own.
    fn links(&self, number: usize) -> Vec<Database> {
        (0..number)
            .map(|_| database_of(self.provider.clone(), patient_limits()))
            .collect()
    }

    /// Returns another link, whose work is tried again for 300 ms at most.
    fn impatient_link(&self) -> Database {
        let mut limits = patient_limits();
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

    /// Reads by a statement that waits at the gate.
    async fn read_at_gate(&self) -> Result<(), Error> {
        self.link
            .read(|db| async move {
                db.query_typed(concat!("SELECT ", gate!()), &[]).await?;
                Ok(())
            })
            .await
    }

    /// Inserts an entry by a statement that waits at the gate.
    async fn write_at_gate(&self, name: &str) -> Result<u64, Error> {
        self.link
            .write(|db| async move { insert(&db, name, INSERT_AT_GATE).await })
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
const INSERT_AT_GATE: &str = concat!("INSERT INTO entry (name) SELECT $1 FROM ", gate!());

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
    let gate = Gate::close_for_commits(&fixture.database).await;
    let cut = async {
        gate.is_reached().await;
        // The reply does not arrive before the cut.
        let long = Duration::from_secs(60);
        fixture.proxy.set_latency(long, Duration::ZERO);
        gate.open().await;
        let entry = format!("SELECT count(*) > 0 FROM entry WHERE name = '{name}'");
        gate.until(&entry).await;
        fixture.proxy.cut();
        fixture.proxy.set_latency(Duration::ZERO, Duration::ZERO);
    };
    join(work, cut).await.0
}
