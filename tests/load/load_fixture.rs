//! Fixture of a burst: a Postgres of its own, with or without a PgBouncer in front of it.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use stagelink_local_postgres::{Database, PgBouncer, PgBouncerOptions};
use stagelink_tests::{Auth, FunctionHarness, Identity, OwnServer, migrate, pooled};
use tokio::sync::{Mutex, MutexGuard};

/// Server with a guestbook, whose role may have [`CONNECTIONS`] of its connections.
#[derive(Debug)]
pub(crate) struct LoadFixture {
    pub(crate) server: OwnServer,
    pub(crate) database: Database,
    _turn: MutexGuard<'static, ()>,
}

impl LoadFixture {
    /// Waits until no other burst runs, and creates the fixture.
    pub(crate) async fn new() -> Self {
        let turn = TURN.lock().await;
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("its limit");
        // More than a thousand sockets, and the pipes of a hundred processes.
        setrlimit(Resource::RLIMIT_NOFILE, FILES.min(most), most).expect("more open files");
        let server = OwnServer::start(&Identity::self_signed()).await;
        let database = server.database(Auth::Scram).await;
        let fixture = Self {
            server,
            database,
            _turn: turn,
        };
        let role = fixture.database.role();
        let limit = format!("ALTER ROLE {role} CONNECTION LIMIT {CONNECTIONS}");
        fixture.server.run(&limit).await;
        migrate(&fixture.harness(&[]).variables).await;
        fixture
    }

    /// Starts a PgBouncer in front of it, with fewer connections than the role may have.
    pub(crate) async fn bouncer(&self, prepared_statements: u32) -> PgBouncer {
        let options = PgBouncerOptions::new()
            .default_pool_size(POOLED)
            .max_client_conn(2_000)
            .max_prepared_statements(prepared_statements);
        self.server
            .bouncer_with(options, &[&self.database], self.server.identity())
            .await
    }

    /// Returns a harness whose functions connect directly, with these variables set.
    pub(crate) fn harness(&self, variables: &[(&str, &str)]) -> FunctionHarness {
        self.harness_for(&self.database.url(), variables)
    }

    /// Returns a harness whose functions connect through a PgBouncer, which is pinned by its key.
    /// Their connect time-out is long, because all of them and the pooler share the processors of
    /// one machine.
    pub(crate) fn pooled_harness(&self, bouncer: &PgBouncer) -> FunctionHarness {
        let pin = self.server.identity().pin();
        let url = pooled(bouncer, &self.database);
        self.harness_for(
            &url,
            &[
                ("STAGELINK_SERVER_PIN", &pin),
                ("STAGELINK_CONNECT_TIMEOUT_MS", "120000"),
                ("STAGELINK_RETRY_TIMEOUT_MS", "120000"),
            ],
        )
    }

    fn harness_for(&self, url: &str, variables: &[(&str, &str)]) -> FunctionHarness {
        let mut harness = FunctionHarness::new(self.database.clone(), [("DATABASE_URL", url)], []);
        for (name, value) in variables {
            harness.set(name, value);
        }
        harness
    }

    /// Returns the number of entries in the guestbook.
    pub(crate) async fn entries(&self) -> usize {
        let admin = self
            .server
            .server()
            .connect_as_superuser_to(&self.database)
            .await;
        let row = admin
            .expect("a superuser")
            .query_typed_one("SELECT count(*) FROM guestbook", &[])
            .await;
        usize::try_from(row.expect("a count").get::<_, i64>(0)).expect("a count")
    }
}

/// Serializes the bursts.
static TURN: Mutex<()> = Mutex::const_new(());

/// Connection limit of a role of a small database.
pub(crate) const CONNECTIONS: u32 = 20;

/// Connection limit of the pooler, out of the role's.
pub(crate) const POOLED: u32 = 10;

const FILES: u64 = 8_192;
