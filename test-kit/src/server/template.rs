//! Templates: a database for each set of migrations, from which the databases of tests are cloned.

use std::time::Duration;

use postgres_protocol::password::scram_sha_256;
use stagelink_local_postgres::random_password;
use tokio::time::sleep;

use super::registry::{Lock, Registry};
use crate::error::Error;
use crate::migrations::Migrations;

/// A database that has a set of migrations, and the role that owns it and its clones. No session is
/// open on it, since it could not be cloned then.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: String,
    pub(super) password: Password,
}

/// The password of the role that owns the databases of tests.
pub(super) struct Password(pub(super) String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("_")
    }
}

impl Template {
    /// Finds the template of these migrations, or makes it. Of several processes one makes it, and
    /// the others wait. This session then shares the template's lock until it ends.
    pub(super) async fn find_or_make(
        registry: &Registry,
        name: String,
        migrations: &Migrations,
    ) -> Result<Self, Error> {
        let class = Lock::Template as i32;
        loop {
            let shared = registry.query(SHARE, &[&class, &name]).await?;
            if shared.first().is_some_and(|row| row.get(0)) {
                let used = registry.query(USE, &[&name]).await?;
                if let Some(row) = used.first() {
                    let password = Password(row.get(0));
                    return Ok(Self { name, password });
                }
                registry.query(UNSHARE, &[&class, &name]).await?;
            }
            let locked = registry.query(TRY, &[&class, &name]).await?;
            if locked.first().is_some_and(|row| row.get(0)) {
                // Another process may have made it before this one had the lock.
                let is_missing = registry.query(USE, &[&name]).await?.is_empty();
                let made = match is_missing {
                    true => make(registry, &name, migrations).await,
                    false => Ok(()),
                };
                registry.query(UNLOCK, &[&class, &name]).await?;
                made?;
            } else {
                sleep(Duration::from_millis(fastrand::u64(10..40))).await;
            }
        }
    }
}

/// Undoes what a test has set for the role of a template: its settings, and its password. All databases of the
/// template have the role, so the next test would start with that. What the migrations have set stays.
pub(super) async fn restore_role(registry: &Registry, name: &str) -> Result<(), Error> {
    // Two processes that alter a role at a time would fail.
    let lock = Lock::SetUp as i32;
    let restore = format!(
        "DO $restore$
        DECLARE
            kept public.template;
            role_id oid;
        BEGIN
            PERFORM pg_advisory_xact_lock({lock}, hashtext('{name}'));
            SELECT * INTO STRICT kept FROM public.template WHERE template.name = '{name}';
            SELECT oid INTO STRICT role_id FROM pg_roles WHERE rolname = '{name}';
            EXECUTE format('ALTER ROLE %I PASSWORD %L', kept.name, kept.verifier);
            DELETE FROM pg_db_role_setting WHERE setrole = role_id AND setdatabase = 0;
            IF kept.settings IS NOT NULL THEN
                INSERT INTO pg_db_role_setting (setdatabase, setrole, setconfig)
                VALUES (0, role_id, kept.settings);
            END IF;
        END $restore$"
    );
    registry.execute(&restore).await
}

async fn make(registry: &Registry, name: &str, migrations: &Migrations) -> Result<(), Error> {
    // What a process that was killed has left.
    drop(registry, name).await?;
    let password = random_password();
    let verifier = scram_sha_256(password.as_bytes());
    registry
        .execute(&format!("CREATE ROLE {name} LOGIN PASSWORD '{verifier}'"))
        .await?;
    registry
        .execute(&format!("CREATE DATABASE {name} OWNER {name}"))
        .await?;
    let client = registry.session_of(name, name, &password).await?;
    let applied = migrations.apply(&client).await;
    std::mem::drop(client);
    if let Err(error) = applied {
        drop(registry, name).await?;
        return Err(error);
    }
    // The session that applied them ends a moment after its client.
    registry.end_sessions(name).await?;
    let close = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false IS_TEMPLATE true");
    registry.execute(&close).await?;
    registry.query(KEEP, &[&name, &password]).await?;
    Ok(())
}

/// Drops a template that no process uses, with its role, and what that role owns besides: clones that
/// the registry does not know, since someone dropped it, or made them of a server's backup.
pub(super) async fn drop(registry: &Registry, name: &str) -> Result<(), Error> {
    let exists = "SELECT FROM pg_database WHERE datname = $1";
    if !registry.query(exists, &[&name]).await?.is_empty() {
        let open = format!("ALTER DATABASE {name} WITH IS_TEMPLATE false");
        registry.execute(&open).await?;
        // Waits until a clone that the server still makes of it is whole.
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        registry.execute(&drop).await?;
    }
    for row in registry.query(OWNED, &[&name]).await? {
        let clone: &str = row.get(0);
        let drop = format!("DROP DATABASE IF EXISTS {clone} WITH (FORCE)");
        registry.execute(&drop).await?;
    }
    registry
        .execute(&format!("DROP ROLE IF EXISTS {name}"))
        .await
}

const OWNED: &str = "
    SELECT quote_ident(datname) FROM pg_database
    WHERE datdba = (SELECT oid FROM pg_roles WHERE rolname = $1)
    AND datname LIKE 'stagelink\\_test\\_c\\_%'";
const SHARE: &str = "SELECT pg_try_advisory_lock_shared($1::int, hashtext($2))";
const UNSHARE: &str = "SELECT pg_advisory_unlock_shared($1::int, hashtext($2))";
const TRY: &str = "SELECT pg_try_advisory_lock($1::int, hashtext($2))";
const UNLOCK: &str = "SELECT pg_advisory_unlock($1::int, hashtext($2))";
/// A test may have dropped the template, which its role owns.
const USE: &str = "
    UPDATE public.template SET used_at = now()
    WHERE name = $1::text AND EXISTS (SELECT FROM pg_database WHERE datname = $1::text)
    RETURNING password";
const KEEP: &str = "
    INSERT INTO public.template (name, password, verifier, settings)
    SELECT $1::text, $2::text, rolpassword, (
        SELECT setconfig FROM pg_db_role_setting WHERE setrole = role.oid AND setdatabase = 0
    ) FROM pg_authid AS role WHERE rolname = $1::text
    ON CONFLICT (name) DO UPDATE SET password = excluded.password,
        verifier = excluded.verifier, settings = excluded.settings, used_at = now()";
