//! The snapshot that a run of migrations keeps in the database, beside the history.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError};

use crate::migrations::drift::snapshot::{SchemaObject, SchemaSnapshot};
use crate::migrations::history::History;
use crate::migrations::own_tables::SNAPSHOT_TABLE;

/// The format of the snapshots that this version keeps and compares. It grows when the catalog is read in
/// another form, so that no form is compared with another: format 1 had neither a number, nor qualifiers
/// in queries, nor the settings of objects.
const FORMAT: u32 = 2;

/// The snapshot that a database has.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// None.
    Nothing,
    /// One of this version's format.
    Snapshot(KeptSnapshot),
    /// One that an older or newer version of stagelink wrote, in a format of its own.
    OtherFormat {
        /// The time by the server's clock, in the format of RFC 3339.
        kept_at: String,
        is_newer: bool,
    },
}

/// A kept snapshot, with the history that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeptSnapshot {
    pub(super) snapshot: SchemaSnapshot,
    /// Digest of the history at the time.
    history: String,
    /// The time by the server's clock, in the format of RFC 3339.
    pub(super) kept_at: String,
    /// The time at which a person accepted the schema as it was then, by the clock of their machine.
    pub(super) accepted_at: Option<String>,
}

impl Kept {
    /// Reads the snapshot of the database.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub(super) async fn read(client: &Client) -> Result<Self, DriverError> {
        let Some((table, true)) = find(client).await? else {
            return Ok(Self::Nothing);
        };
        let read = format!(
            "SELECT objects, history, pg_catalog.to_char(pg_catalog.timezone('UTC', kept_at), \
             'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM {table}"
        );
        let rows = client.query_typed(&read, &[]).await?;
        let Some(row) = rows.first() else {
            return Ok(Self::Nothing);
        };
        let (history, kept_at) = (row.try_get(1)?, row.try_get(2)?);
        Ok(match read_objects(row.try_get(0)?) {
            Ok((snapshot, accepted_at)) => Self::Snapshot(KeptSnapshot {
                snapshot,
                history,
                kept_at,
                accepted_at,
            }),
            Err(format) => Self::OtherFormat {
                kept_at,
                is_newer: format > FORMAT,
            },
        })
    }
}

impl KeptSnapshot {
    /// Returns whether no migration was recorded since.
    pub(super) fn is_of(&self, history: &History) -> bool {
        self.history == digest(history)
    }
}

/// The objects, in the column of the table. A version that knows no format reads no `schema`.
#[derive(Serialize, Deserialize)]
struct KeptObjects {
    format: u32,
    /// A version that knows no such time ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accepted_at: Option<String>,
    schema: Vec<SchemaObject>,
}

/// Reads the objects of a snapshot, and the time at which a person accepted it.
///
/// # Errors
///
/// The format that the snapshot has instead.
fn read_objects(json: &str) -> Result<(SchemaSnapshot, Option<String>), u32> {
    #[derive(Deserialize)]
    struct Format {
        format: Option<u32>,
    }
    let format: Result<Format, _> = serde_json::from_str(json);
    match format.ok().and_then(|of| of.format) {
        Some(FORMAT) => {}
        other => return Err(other.unwrap_or(1)),
    }
    let kept: Result<KeptObjects, _> = serde_json::from_str(json);
    kept.map(|kept| (kept.schema.into_iter().collect(), kept.accepted_at))
        .map_err(|_| 1)
}

/// Keeps a snapshot in the place of the one that the database has, with the time at which a person accepted what
/// differed, if one did.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn keep(
    client: &Client,
    history: &History,
    snapshot: &SchemaSnapshot,
    accepted_at: Option<String>,
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
    let objects = KeptObjects {
        format: FORMAT,
        accepted_at,
        schema: snapshot.objects().to_vec(),
    };
    let objects = serde_json::to_string(&objects).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_of_another_format_is_not_compared() {
        for (json, expected) in [
            (r#"{"objects":[]}"#, Err(1)),
            (
                r#"{"objects":[{"kind":"table","name":"a","owner":"","definition":""}]}"#,
                Err(1),
            ),
            (r#"{"format":1,"schema":[]}"#, Err(1)),
            (r#"{"format":2,"schema":[]}"#, Ok(0)),
            (
                r#"{"format":2,"schema":[{"kind":"table","name":"a","owner":"","definition":""}]}"#,
                Ok(1),
            ),
            (r#"{"format":3,"tables":{}}"#, Err(3)),
            (r#"{"format":2}"#, Err(1)),
            ("", Err(1)),
        ] {
            let read = read_objects(json).map(|(snapshot, _)| snapshot.objects().len());
            assert_eq!(read, expected, "{json}");
        }
        let json = r#"{"format":2,"accepted_at":"2026-11-28T19:00:00Z","schema":[]}"#;
        let accepted_at = read_objects(json).unwrap().1;
        assert_eq!(accepted_at.as_deref(), Some("2026-11-28T19:00:00Z"));
    }

    /// A version of before this number reads the field `objects`, and takes what has none for nothing.
    #[test]
    fn snapshot_of_this_version_has_a_number_and_no_objects() {
        let kept = KeptObjects {
            format: FORMAT,
            accepted_at: None,
            schema: Vec::new(),
        };
        let json = serde_json::to_string(&kept).unwrap();
        assert_eq!(json, r#"{"format":2,"schema":[]}"#);
    }
}
