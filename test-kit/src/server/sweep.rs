//! Removes what killed processes have left: each database that no live process holds the lock of.

use super::registry::{Lock, Registry};
use super::template;
use crate::error::Error;

impl Registry {
    /// Removes what no live process holds. A failure costs disk space alone, so it is printed.
    pub(super) async fn sweep(&self) {
        if let Err(error) = self.sweep_all().await {
            eprintln!("stagelink-test: could not remove the leftovers of earlier runs: {error:?}");
        }
    }

    async fn sweep_all(&self) -> Result<(), Error> {
        let clone = Lock::Clone as i32;
        // A clone that its maker did not live to see is as good as any.
        self.query(ADOPT, &[&clone]).await?;
        for row in self.query(LEFT, &[&clone]).await? {
            let name: &str = row.get(0);
            self.drop_clone(name).await?;
        }
        for row in self.query(OLD_TEMPLATES, &[]).await? {
            self.sweep_template(row.get(0)).await?;
        }
        Ok(())
    }

    /// Drops a template that no process has used for a while, with its clones.
    async fn sweep_template(&self, name: &str) -> Result<(), Error> {
        let class = Lock::Template as i32;
        let lock = "SELECT pg_try_advisory_lock($1::int, hashtext($2))";
        let locked = self.query(lock, &[&class, &name]).await?;
        if !locked.first().is_some_and(|row| row.get(0)) {
            return Ok(());
        }
        let swept = self.drop_template(name).await;
        let unlock = "SELECT pg_advisory_unlock($1::int, hashtext($2))";
        self.query(unlock, &[&class, &name]).await?;
        swept
    }

    async fn drop_template(&self, name: &str) -> Result<(), Error> {
        let forget = "DELETE FROM public.template WHERE name = $1";
        self.query(forget, &[&name]).await?;
        let clones = "UPDATE public.clone SET state = 'used' WHERE template = $1 RETURNING name";
        for row in self.query(clones, &[&name]).await? {
            self.drop_clone(row.get(0)).await?;
        }
        template::drop(self, name).await
    }

    async fn drop_clone(&self, name: &str) -> Result<(), Error> {
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        // Another process may drop it at the same time.
        if let Err(error) = self.execute(&drop).await {
            let exists = "SELECT FROM pg_database WHERE datname = $1";
            if !self.query(exists, &[&name]).await?.is_empty() {
                return Err(error);
            }
        }
        let forget = "DELETE FROM public.clone WHERE name = $1";
        self.query(forget, &[&name]).await.map(drop_rows)
    }
}

fn drop_rows<T>(_: T) {}

/// Finished by the server after its maker had ended: a database is seen when it is whole.
const ADOPT: &str = "
    UPDATE public.clone SET state = 'ready'
    WHERE state = 'making'
    AND EXISTS (SELECT FROM pg_database WHERE datname = clone.name)
    AND NOT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = $1::int::oid AND objid = hashtext(clone.name)::bit(32)::bigint::oid
    )";

/// Used by a process that has ended, or begun by one and neither finished nor under way any more.
const LEFT: &str = "
    SELECT name FROM public.clone
    WHERE (state = 'used' OR state = 'making' AND made_at < now() - interval '1 minute')
    AND NOT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = $1::int::oid AND objid = hashtext(clone.name)::bit(32)::bigint::oid
    )";

/// Not used for an hour, or begun and not finished.
const OLD_TEMPLATES: &str = "
    SELECT datname::text FROM pg_database
    WHERE datname LIKE 'stagelink\\_test\\_t\\_%'
    AND NOT EXISTS (
        SELECT FROM public.template
        WHERE name = datname AND used_at > now() - interval '1 hour'
    )";
