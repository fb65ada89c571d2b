//! The history: the table that records the applied migrations, as refinery 0.10 makes and reads it.

use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError, Row};

use crate::migrations::file::MigrationFile;
use crate::migrations::own_tables::{HISTORY_TABLE, RECORDS_TABLE};
use crate::migrations::read_error::ReadError;
use crate::migrations::records::RecordFacts;
use crate::migrations::version_type::VersionType;

/// The name of the table, as refinery has it.
pub(super) const TABLE: &str = HISTORY_TABLE;

/// A row of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppliedMigration {
    /// The number.
    pub(crate) version: i64,
    /// The name, without number.
    pub(crate) name: String,
    /// The time at which it was applied, in the format of RFC 3339.
    pub(super) applied_on: String,
    /// The checksum, as a decimal number.
    pub(crate) checksum: String,
}

impl std::fmt::Display for AppliedMigration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "V{}__{}", self.version, self.name)
    }
}

/// The history of a database: its table, and the rows in the order of their numbers.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// The table's qualified name, quoted; a file may change the search path.
    pub(super) table: String,
    /// The table's schema, quoted.
    pub(super) schema: String,
    pub(super) version_type: VersionType,
    pub(crate) applied: Vec<AppliedMigration>,
}

impl History {
    /// Reads the history; `None` where the database has none yet. A row that is there twice counts
    /// once.
    ///
    /// # Errors
    ///
    /// Those of the driver; [`ReadError::Unusable`] when the history is in a schema in which the role
    /// does not look for it, so that all files would be applied again, or no runner has written it.
    pub(crate) async fn read(client: &Client) -> Result<Option<Self>, ReadError> {
        let found = client.query_typed(FIND, &[]).await?;
        let Some(found) = found.first() else {
            ensure_nowhere_else(client).await?;
            return Ok(None);
        };
        let table: String = found.try_get(0)?;
        let schema = found.try_get(1)?;
        let version_type = match found.try_get(2)? {
            Some("bigint") => VersionType::Int8,
            Some("integer" | "smallint") => VersionType::Int4,
            other => return Err(foreign(&table, other)),
        };
        let read = format!(
            "SELECT version::pg_catalog.int8, coalesce(name::pg_catalog.text, ''), \
             coalesce(applied_on::pg_catalog.text, ''), coalesce(checksum::pg_catalog.text, '') \
             FROM {table} ORDER BY 1, 2, 4"
        );
        let rows = client.query_typed(&read, &[]).await?;
        let applied = rows.iter().map(|row| applied(row, &table));
        let mut applied = applied.collect::<Result<Vec<_>, _>>()?;
        applied.dedup_by(|one, other| {
            (one.version, &one.name, &one.checksum) == (other.version, &other.name, &other.checksum)
        });
        Ok(Some(Self {
            table,
            schema,
            version_type,
            applied,
        }))
    }

    /// Returns the quoted schema in which the tables of stagelink are: that of the history, or where
    /// there is none yet the one in which it would be made. `None` is a search path without a schema.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub(crate) async fn schema(client: &Client) -> Result<Option<String>, ReadError> {
        let found = client.query_typed(FIND, &[]).await?;
        if let Some(found) = found.first() {
            return Ok(Some(found.try_get(1)?));
        }
        ensure_nowhere_else(client).await?;
        let schema = "SELECT pg_catalog.quote_ident(pg_catalog.current_schema())";
        let rows = client.query_typed(schema, &[]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(row.try_get(0)?)
    }

    /// Creates an empty history where the search path says, as refinery does, and reads it.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub(super) async fn create(
        client: &Client,
        version_type: VersionType,
    ) -> Result<Option<Self>, ReadError> {
        let version_type = version_type.name();
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {TABLE} (version {version_type} PRIMARY KEY, \
             name varchar(255), applied_on varchar(255), checksum varchar(255))"
        );
        client.batch_execute(&create).await?;
        Self::read(client).await
    }

    /// Returns the checksum that this history records for a file.
    pub(super) fn checksum(&self, file: &MigrationFile) -> u64 {
        file.checksum(self.version_type)
    }

    /// Records a file as applied now, here and in the table of records, in one statement.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub(super) async fn record(
        &self,
        client: &Client,
        file: &MigrationFile,
        facts: &RecordFacts,
        applied_by: &str,
    ) -> Result<(), DriverError> {
        let (table, schema) = (&self.table, &self.schema);
        let insert = format!(
            "WITH history AS (INSERT INTO {table} (version, name, applied_on, checksum) VALUES \
             ($1::pg_catalog.int8, $2, pg_catalog.to_char(pg_catalog.timezone('UTC', \
             pg_catalog.clock_timestamp()), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), $3)), \
             begun AS (DELETE FROM {schema}.{RECORDS_TABLE} WHERE version = $1 \
             AND applied_at IS NULL) \
             INSERT INTO {schema}.{RECORDS_TABLE} (version, name, checksum, class, \
             overridden_rules, reasons, waiting, applied_by, role, applied_at) VALUES \
             ($1, $2, $3, $4, $5, $6, $7, $8, session_user, pg_catalog.clock_timestamp())"
        );
        let checksum = self.checksum(file).to_string();
        let overridden = facts.overridden.iter();
        let (rules, reasons): (Vec<_>, Vec<_>) =
            overridden.map(|one| (&*one.rule, &*one.reason)).unzip();
        client
            .execute_typed(
                &insert,
                &[
                    (&file.version(), Type::INT8),
                    (&file.name(), Type::TEXT),
                    (&checksum, Type::TEXT),
                    (&facts.class, Type::TEXT),
                    (&rules, Type::TEXT_ARRAY),
                    (&reasons, Type::TEXT_ARRAY),
                    (&facts.waiting, Type::INT8_ARRAY),
                    (&applied_by, Type::TEXT),
                ],
            )
            .await
            .map(|_| ())
    }
}

fn applied(row: &Row, table: &str) -> Result<AppliedMigration, ReadError> {
    let version: Option<i64> = row.try_get(0)?;
    let name: String = row.try_get(1)?;
    let Some(version) = version else {
        return Err(ReadError::Unusable(format!(
            "a row of the table {table} (its name is `{name}`) has no version, so no runner has \
             written it: delete it, or give it the number of its file"
        )));
    };
    Ok(AppliedMigration {
        version,
        name,
        applied_on: row.try_get(2)?,
        checksum: row.try_get(3)?,
    })
}

/// Returns the error of a table whose column `version` is of a type that no runner gives it.
fn foreign(table: &str, version_type: Option<&str>) -> ReadError {
    let found = match version_type {
        Some(found) => format!("has a column version of the type {found}"),
        None => "has no column version".to_owned(),
    };
    ReadError::Unusable(format!(
        "the table {table} {found}, where a history of migrations has int4 or int8: make it one, or give \
         the table another name, if it is no history"
    ))
}

/// Makes sure that no other schema has a history. A change of the search path hides it, and a run
/// would make a second one, and apply all files again.
async fn ensure_nowhere_else(client: &Client) -> Result<(), ReadError> {
    let found = client.query_typed(FIND_ANYWHERE, &[]).await?;
    let Some(first) = found.first() else {
        return Ok(());
    };
    let search_path: String = first.try_get(1)?;
    let schemas: Result<Vec<String>, _> = found.iter().map(|row| row.try_get(0)).collect();
    let schemas = schemas?.join(" and ");
    Err(ReadError::Unusable(format!(
        "the history of migrations is in the schema {schemas}, where the role's search path \
         ({search_path}) does not find it: set a search path that includes the schema (ALTER ROLE … SET \
         search_path); or, if that history is another project's, create one for this project in its own \
         schema: CREATE TABLE {TABLE} (version int4 PRIMARY KEY, name varchar(255), \
         applied_on varchar(255), checksum varchar(255))"
    )))
}

/// Finds the table on the search path, with its schema and the type of its column `version`.
const FIND: &str = "SELECT pg_catalog.quote_ident(n.nspname) \
     OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname), \
     pg_catalog.quote_ident(n.nspname), pg_catalog.format_type(a.atttypid, NULL) \
     FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
     LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid \
     AND a.attname OPERATOR(pg_catalog.=) 'version' AND NOT a.attisdropped \
     WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('refinery_schema_history')";

/// Finds tables of that name in any schema but a temporary one, and the search path.
const FIND_ANYWHERE: &str = "SELECT pg_catalog.quote_ident(n.nspname), \
     pg_catalog.current_setting('search_path') FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
     WHERE c.relname OPERATOR(pg_catalog.=) 'refinery_schema_history' \
     AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[]) \
     AND c.relpersistence OPERATOR(pg_catalog.<>) 't' ORDER BY 1";
