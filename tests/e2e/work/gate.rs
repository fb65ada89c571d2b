//! Lock at which statements of the work wait, so that a test acts while one of them is under way.

use std::time::Duration;

use stagelink_local_postgres::Database;
use stagelink_tests::server;
use tokio_postgres::Client;

/// Closed gate of a database. It opens when it is dropped, too.
pub(super) struct Gate {
    admin: Client,
}

/// Call of a function that waits while the gate is closed. Once the gate is open, it returns at
/// once, and so does that of a second attempt.
macro_rules! gate {
    () => {
        "pg_advisory_xact_lock_shared(7)"
    };
}
pub(super) use gate;

impl Gate {
    /// Closes the gate of a database, as a superuser whose session a rotation does not end.
    pub(super) async fn close(database: &Database) -> Self {
        let admin = server().await.connect_as_superuser_to(database).await;
        let gate = Self {
            admin: admin.expect("a superuser"),
        };
        gate.run("SELECT pg_advisory_lock(7)").await;
        gate
    }

    /// Closes the gate for every commit of an insert into `entry`.
    pub(super) async fn close_for_commits(database: &Database) -> Self {
        let gate = Self::close(database).await;
        let wait = gate!();
        gate.run(&format!(
            "CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql \
             AS $$ BEGIN PERFORM {wait}; RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON entry DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION wait_at_gate()"
        ))
        .await;
        gate
    }

    /// Waits until a statement waits at the gate.
    pub(super) async fn is_reached(&self) {
        let sql = "SELECT count(*) > 0 FROM pg_locks JOIN pg_database d ON d.oid = database \
             WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()";
        self.until(sql).await;
    }

    /// Opens the gate for good.
    pub(super) async fn open(&self) {
        self.run("SELECT pg_advisory_unlock(7)").await;
    }

    /// Waits until a query returns true.
    pub(super) async fn until(&self, sql: &str) {
        let until = async {
            loop {
                let row = self.admin.query_one(sql, &[]).await;
                if row.expect("an answer").get(0) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(20), until).await;
        assert!(reached.is_ok(), "{sql} is not true after 20 s");
    }

    async fn run(&self, sql: &str) {
        self.admin
            .batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}
