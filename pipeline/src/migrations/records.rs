//! The records of applied migrations: the class of each, the rules that a person has overridden, and
//! who applied it. The history is refinery's, and has no room for that.

use serde::Serialize;
use stagelink::Database;
use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError, Row};

use crate::error::Error;
use crate::migrations::bounded_read;
use crate::migrations::class::Class;
use crate::migrations::file::MigrationFile;
use crate::migrations::own_tables::RECORDS_TABLE;
use crate::migrations::read_error::ReadError;
use crate::migrations::rule_override::RuleOverride;
use crate::migrations::server_words::describe;

/// The record of a migration that `stagelink migrate` or `stagelink dev` applied.
///
/// A migration that refinery applied has none: its class is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrationRecord {
    /// The number.
    pub version: i64,
    /// The name, without number.
    pub name: String,
    /// The checksum that the history got, as a decimal number.
    pub checksum: String,
    /// The class by all rules that held, also those that were overridden; `None` for one that this
    /// version does not know.
    pub class: Option<Class>,
    /// The rules that a person has overridden, with the reasons.
    pub overridden: Vec<RuleOverride>,
    /// The numbers of files before it that waited for `--after` at the time.
    pub waiting: Vec<i64>,
    /// The person or job that ran the command, as `user@host`; empty where that was not known.
    pub applied_by: String,
    /// The database role of its session.
    pub role: String,
    /// The time by the server's clock, in the format of RFC 3339.
    pub applied_at: String,
}

/// The facts of a record that the database does not know by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct RecordFacts {
    pub(super) class: &'static str,
    pub(super) overridden: Vec<RuleOverride>,
    pub(super) waiting: Vec<i64>,
}

/// Reads the records of a stage's database, in the order in which the migrations were applied.
/// Without a table of records there are none.
///
/// # Errors
///
/// [`ErrorKind::Database`](crate::ErrorKind::Database) when the database cannot be reached, or refuses the query.
pub async fn records(database: &Database) -> Result<Vec<MigrationRecord>, Error> {
    let what = "could not read the records of migrations";
    let client = bounded_read::connect(database, what).await?;
    bounded_read::read_only(&client, what, read(&client)).await
}

/// Reads the records through an open session.
///
/// # Errors
///
/// Those of the driver; [`ReadError::Unusable`] for a row that no runner has written.
pub(crate) async fn read(client: &Client) -> Result<Vec<MigrationRecord>, ReadError> {
    let found = client.query_typed(FIND, &[]).await?;
    let Some(found) = found.first() else {
        return Ok(Vec::new());
    };
    let table: &str = found.try_get(0)?;
    let read = format!(
        "SELECT version, name, checksum, class, overridden_rules, reasons, waiting, applied_by, \
         role, pg_catalog.to_char(pg_catalog.timezone('UTC', applied_at), \
         'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), id::pg_catalog.text FROM {table} WHERE applied_at IS NOT NULL ORDER BY id"
    );
    let rows = client.query_typed(&read, &[]).await?;
    let records = rows.iter().map(|row| {
        record(row).map_err(|error| {
            let id = row.try_get(10).unwrap_or("?");
            ReadError::Unusable(format!(
                "the row with the id {id} of the table {table} is not as a run writes it ({}): mend it, \
                 or delete it",
                describe(&error)
            ))
        })
    });
    records.collect()
}

fn record(row: &Row) -> Result<MigrationRecord, DriverError> {
    let (rules, reasons): (Vec<String>, Vec<String>) = (row.try_get(4)?, row.try_get(5)?);
    let overridden = rules.into_iter().zip(reasons);
    Ok(MigrationRecord {
        version: row.try_get(0)?,
        name: row.try_get(1)?,
        checksum: row.try_get(2)?,
        class: Class::named(row.try_get(3)?),
        overridden: overridden
            .map(|(rule, reason)| RuleOverride {
                rule,
                version: None,
                reason,
            })
            .collect(),
        waiting: row.try_get(6)?,
        applied_by: row.try_get(7)?,
        role: row.try_get(8)?,
        applied_at: row.try_get(9)?,
    })
}

/// Creates the table beside the history, in its schema, where it is missing. The schema is quoted.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn create(client: &Client, schema: &str) -> Result<(), DriverError> {
    if !client.query_typed(FIND, &[]).await?.is_empty() {
        return Ok(());
    }
    // A row without a time is a statement that runs without a transaction, or was interrupted.
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {schema}.{RECORDS_TABLE} (\
         id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version int8 NOT NULL, \
         name text NOT NULL, checksum text NOT NULL, class text NOT NULL, \
         overridden_rules text[] NOT NULL, reasons text[] NOT NULL, waiting int8[] NOT NULL, \
         applied_by text NOT NULL, role text NOT NULL, applied_at timestamptz)"
    );
    client.batch_execute(&create).await
}

/// Records that a file begins which runs without a transaction. Returns whether it was begun before, by
/// a run that did not come to its end.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn begin(
    client: &Client,
    schema: &str,
    (file, checksum): (&MigrationFile, &str),
    facts: &RecordFacts,
    applied_by: &str,
) -> Result<bool, DriverError> {
    let begin = format!(
        "WITH earlier AS (SELECT FROM {schema}.{RECORDS_TABLE} WHERE version = $1 \
         AND checksum = $2 AND applied_at IS NULL), \
         begun AS (INSERT INTO {schema}.{RECORDS_TABLE} (version, name, checksum, class, \
         overridden_rules, reasons, waiting, applied_by, role) SELECT $1, $3, $2, $4, '{{}}', '{{}}', \
         '{{}}', $5, session_user WHERE NOT EXISTS (TABLE earlier)) \
         SELECT EXISTS (TABLE earlier)"
    );
    let rows = client
        .query_typed(
            &begin,
            &[
                (&file.version(), Type::INT8),
                (&checksum, Type::TEXT),
                (&file.name(), Type::TEXT),
                (&facts.class, Type::TEXT),
                (&applied_by, Type::TEXT),
            ],
        )
        .await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Returns whether a file was begun by a run that did not come to its end.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn is_begun(
    client: &Client,
    schema: &str,
    (file, checksum): (&MigrationFile, &str),
) -> Result<bool, DriverError> {
    let look = format!(
        "SELECT FROM {schema}.{RECORDS_TABLE} WHERE version = $1 AND checksum = $2 \
         AND applied_at IS NULL"
    );
    let parameters = [
        (&file.version() as _, Type::INT8),
        (&checksum as _, Type::TEXT),
    ];
    let rows = client.query_typed(&look, &parameters).await?;
    Ok(!rows.is_empty())
}

/// Forgets that a file was begun: the server refused its statement.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn forget(
    client: &Client,
    schema: &str,
    file: &MigrationFile,
) -> Result<(), DriverError> {
    let forget =
        format!("DELETE FROM {schema}.{RECORDS_TABLE} WHERE version = $1 AND applied_at IS NULL");
    let version = [(&file.version() as _, Type::INT8)];
    client.execute_typed(&forget, &version).await.map(|_| ())
}

/// Gives the records of these numbers and checksums other checksums. Without a table there is nothing
/// to do.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn replace_checksums(
    client: &Client,
    versions: &[i64],
    old: &[String],
    new: &[String],
) -> Result<(), DriverError> {
    let found = client.query_typed(FIND, &[]).await?;
    let Some(found) = found.first() else {
        return Ok(());
    };
    let table: &str = found.try_get(0)?;
    let update = format!(
        "UPDATE {table} AS record SET checksum = known.new FROM \
         ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) \
         AS known (version, old, new) \
         WHERE known.version = record.version AND known.old = record.checksum"
    );
    let parameters = [
        (&versions as _, Type::INT8_ARRAY),
        (&old as _, Type::TEXT_ARRAY),
        (&new as _, Type::TEXT_ARRAY),
    ];
    client.execute_typed(&update, &parameters).await.map(|_| ())
}

/// Finds the table beside the history, which is on the search path.
const FIND: &str = "SELECT pg_catalog.quote_ident(n.nspname) \
     OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(r.relname) \
     FROM pg_catalog.pg_class h \
     JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) h.relnamespace \
     JOIN pg_catalog.pg_class r ON r.relnamespace OPERATOR(pg_catalog.=) h.relnamespace \
     WHERE h.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('refinery_schema_history') \
     AND r.relname OPERATOR(pg_catalog.=) 'stagelink_migration_records'";
