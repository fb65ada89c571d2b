//! A server of the tests' own, and the processes that test on it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stagelink_local_postgres::tokio_postgres::Client;
use stagelink_local_postgres::{Server, ServerOptions, random_password};

/// Says to a process of this program what its test does, and with which migrations.
pub(crate) const CHILD: &str = "KIT_CHILD";
pub(crate) const MIGRATIONS: &str = "KIT_MIGRATIONS";

/// A server that these tests have for themselves, given by its URL.
pub(crate) struct OwnServer {
    pub(crate) server: Server,
    pub(crate) admin: Client,
    pub(crate) url: String,
}

impl OwnServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(200).await
    }

    /// Starts a server that takes so many connections.
    pub(crate) async fn start_with(max_connections: u32) -> Self {
        let source = std::env::var("STAGELINK_POSTGRES").unwrap_or("auto".to_owned());
        let options = ServerOptions::new()
            .source(source.parse().unwrap())
            .max_connections(max_connections);
        let server = Server::start(options).await.unwrap();
        let admin = server.connect_as_superuser().await.unwrap();
        let password = random_password();
        let role = format!("CREATE ROLE kit SUPERUSER LOGIN PASSWORD '{password}'");
        admin.batch_execute(&role).await.unwrap();
        let url = format!(
            "postgres://kit:{password}@127.0.0.1:{}/postgres?sslmode=require",
            server.port()
        );
        Self { server, admin, url }
    }

    /// Starts this program again, with the test `child` alone.
    pub(crate) fn child(&self, what: &str) -> Child {
        self.child_with(what, Path::new("tests/migrations"))
    }

    /// Starts this program again, with the test `child` alone and these migrations.
    pub(crate) fn child_with(&self, what: &str, migrations: &Path) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(CHILD, what)
            .env(MIGRATIONS, migrations)
            .env("STAGELINK_POSTGRES", &self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Returns the databases of tests, without the templates and those that are ready.
    pub(crate) async fn databases_in_use(&self) -> Vec<String> {
        let all =
            "SELECT datname::text FROM pg_database WHERE datname LIKE 'stagelink\\_test\\_c\\_%'";
        let all = self.admin.query(all, &[]).await.unwrap();
        let registry = self.registry().await;
        let ready = "SELECT name FROM clone WHERE state <> 'used'";
        let ready = registry.query(ready, &[]).await.unwrap();
        let ready: Vec<String> = ready.iter().map(|row| row.get(0)).collect();
        let all = all.iter().map(|row| row.get(0));
        all.filter(|name| !ready.contains(name)).collect()
    }

    /// Returns the name of the only template.
    pub(crate) async fn template(&self) -> String {
        let template =
            "SELECT datname::text FROM pg_database WHERE datname LIKE 'stagelink\\_test\\_t\\_%'";
        self.admin.query_one(template, &[]).await.unwrap().get(0)
    }

    /// Waits until a session of the server runs a statement like this, or none does.
    pub(crate) async fn until_statement(&self, like: &str, runs: bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let running = "SELECT FROM pg_stat_activity WHERE query LIKE $1 AND state = 'active' \
                       AND pid <> pg_backend_pid()";
        while self
            .admin
            .query(running, &[&like])
            .await
            .unwrap()
            .is_empty()
            == runs
        {
            assert!(Instant::now() < deadline, "{like}: {runs}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Returns the names that no process of now may need: databases and roles that the registry does not
    /// know, and its rows of clones that are not whole, or were a test's.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        let registry = self.registry().await;
        let known = "SELECT name FROM clone WHERE state = 'ready' UNION SELECT name FROM template";
        let known = registry.query(known, &[]).await.unwrap();
        let known: Vec<String> = known.iter().map(|row| row.get(0)).collect();
        let all = "SELECT name FROM clone";
        let all = registry.query(all, &[]).await.unwrap();
        let named = "SELECT datname::text FROM pg_database WHERE datname LIKE 'stagelink\\_test\\__\\_%' \
                     UNION SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'stagelink\\_test\\__\\_%'";
        let named = self.admin.query(named, &[]).await.unwrap();
        let names = all.iter().chain(&named).map(|row| row.get(0));
        names.filter(|name| !known.contains(name)).collect()
    }

    /// Makes sure that there were leftovers, and that none of them is one after another run. That run
    /// may have left a clone half made itself, which the next one adopts.
    pub(crate) async fn assert_removed(&self, left: &[String], migrations: &Path) {
        assert!(!left.is_empty(), "the kill came too late");
        assert!(self.child_with("", migrations).wait().unwrap().success());
        let now = self.leftovers().await;
        let still: Vec<_> = left.iter().filter(|name| now.contains(name)).collect();
        assert!(still.is_empty(), "{still:?}");
    }

    /// Returns the last statements of the sessions with the registry. The server's own workers, as
    /// autovacuum's, are none.
    pub(crate) async fn sessions_of_registry(&self) -> Vec<String> {
        let all = "SELECT coalesce(query, '') FROM pg_stat_activity \
                   WHERE datname = 'stagelink_test_1' AND backend_type = 'client backend'";
        let all = self.admin.query(all, &[]).await.unwrap();
        all.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until the registry has so many sessions at most. The server ends those of a process that has
    /// ended only after their statement, such as one that makes a clone, and their locks with them.
    pub(crate) async fn until_sessions_of_registry(&self, most: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let all = self.sessions_of_registry().await;
            if all.len() <= most {
                return;
            }
            assert!(Instant::now() < deadline, "{all:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills a child that is the only one with sessions, and waits until the server has ended them.
    pub(crate) async fn kill(&self, child: &mut Child) {
        child.kill().unwrap();
        child.wait().unwrap();
        self.until_sessions_of_registry(0).await;
    }

    pub(crate) async fn registry(&self) -> Client {
        let source = stagelink_local_postgres::ServerSource::Url(self.url.parse().unwrap());
        let options = ServerOptions::new().source(source);
        let server = stagelink_local_postgres::SharedServer::attach(options).await;
        let connected = server
            .unwrap()
            .connect_as_superuser("stagelink_test_1")
            .await;
        connected.unwrap()
    }
}
