//! The snapshot that a run of migrations keeps in the database, beside the history.

use sha2::{Digest as _, Sha256};
use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError};

use crate::migrations::drift::snapshot::SchemaSnapshot;
use crate::migrations::history::History;

/// The name of the table, which is in the schema of the history. It has one row.
const SNAPSHOT_TABLE: &str = "stagelink_schema_snapshot";

/// A kept snapshot, with the history that it belongs to.
#[derive(Clone, Debug)]
pub(super) struct KeptSnapshot {
    pub(super) snapshot: SchemaSnapshot,
    /// Digest of the history at the time.
    history: String,
    /// The time by the server's clock, in the format of RFC 3339.
    pub(super) kept_at: String,
}

impl KeptSnapshot {
    /// Reads the snapshot; `None` where there is none, or a newer version wrote it.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub(super) async fn read(client: &Client) -> Result<Option<Self>, DriverError> {
        let Some((table, true)) = find(client).await? else {
            return Ok(None);
        };
        let read = format!(
            "SELECT objects, history, pg_catalog.to_char(pg_catalog.timezone('UTC', kept_at), \
             'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM {table}"
        );
        let rows = client.query_typed(&read, &[]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let snapshot = serde_json::from_str(row.try_get(0)?).ok();
        let (history, kept_at) = (row.try_get(1)?, row.try_get(2)?);
        Ok(snapshot.map(|snapshot| Self {
            snapshot,
            history,
            kept_at,
        }))
    }

    /// Returns whether no migration was recorded since.
    pub(super) fn is_of(&self, history: &History) -> bool {
        self.history == digest(history)
    }
}

/// Keeps a snapshot in the place of the one that the database has.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn keep(
    client: &Client,
    history: &History,
    snapshot: &SchemaSnapshot,
) -> Result<(), DriverError> {
    let Some((table, exists)) = find(client).await? else {
        return Ok(());
    };
    if !exists {
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {table} (id int4 PRIMARY KEY CHECK (id = 1), \
             digest text NOT NULL, objects text NOT NULL, history text NOT NULL, \
             server_version text NOT NULL, kept_at timestamptz NOT NULL)"
        );
        client.batch_execute(&create).await?;
    }
    let insert = format!(
        "INSERT INTO {table} (id, digest, objects, history, server_version, kept_at) \
         VALUES (1, $1, $2, $3, pg_catalog.current_setting('server_version'), \
         pg_catalog.clock_timestamp()) ON CONFLICT (id) DO UPDATE SET digest = EXCLUDED.digest, \
         objects = EXCLUDED.objects, history = EXCLUDED.history, \
         server_version = EXCLUDED.server_version, kept_at = EXCLUDED.kept_at"
    );
    let objects = serde_json::to_string(snapshot).unwrap_or_default();
    client
        .execute_typed(
            &insert,
            &[
                (&snapshot.digest(), Type::TEXT),
                (&objects, Type::TEXT),
                (&digest(history), Type::TEXT),
            ],
        )
        .await
        .map(|_| ())
}

/// Returns the table's qualified name, quoted, and whether it exists; `None` without a history on the
/// search path.
async fn find(client: &Client) -> Result<Option<(String, bool)>, DriverError> {
    let found = client.query_typed(FIND, &[]).await?;
    Ok(found.first().map(|row| {
        let schema: String = row.get(0);
        (format!("{schema}.{SNAPSHOT_TABLE}"), row.get(1))
    }))
}

/// Returns a digest of a history's rows.
fn digest(history: &History) -> String {
    let mut hasher = Sha256::new();
    for row in &history.applied {
        hasher.update(format!("{} {}\n", row.version, row.checksum));
    }
    hex::encode(hasher.finalize())
}

/// Finds the schema of the history, which is on the search path, and the table in it.
const FIND: &str = "SELECT pg_catalog.quote_ident(n.nspname), EXISTS (\
         SELECT FROM pg_catalog.pg_class r \
         WHERE r.relnamespace OPERATOR(pg_catalog.=) h.relnamespace \
         AND r.relname OPERATOR(pg_catalog.=) 'stagelink_schema_snapshot') \
     FROM pg_catalog.pg_class h \
     JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) h.relnamespace \
     WHERE h.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('refinery_schema_history')";
