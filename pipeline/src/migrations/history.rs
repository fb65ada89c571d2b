//! The history: the table that records the applied migrations, as refinery 0.10 makes and reads it.

use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError, Row};

use crate::migrations::file::MigrationFile;
use crate::migrations::records::{RECORDS_TABLE, RecordFacts};
use crate::migrations::version_type::VersionType;

/// The name of the table, as refinery has it.
pub(super) const TABLE: &str = "refinery_schema_history";

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
    /// Reads the history; `None` where the database has none yet.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub(crate) async fn read(client: &Client) -> Result<Option<Self>, DriverError> {
        let found = client.query_typed(FIND, &[]).await?;
        let Some(found) = found.first() else {
            return Ok(None);
        };
        let table: String = found.get(0);
        let schema = found.get(1);
        let version_type = match found.get::<_, i16>(2) {
            8 => VersionType::Int8,
            _ => VersionType::Int4,
        };
        let read = format!(
            "SELECT version::pg_catalog.int8, coalesce(name, '')::pg_catalog.text, \
             coalesce(applied_on, '')::pg_catalog.text, coalesce(checksum, '')::pg_catalog.text \
             FROM {table} ORDER BY version"
        );
        let rows = client.query_typed(&read, &[]).await?;
        Ok(Some(Self {
            table,
            schema,
            version_type,
            applied: rows.iter().map(applied).collect(),
        }))
    }

    /// Creates an empty history where the search path says, as refinery does, and reads it.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub(super) async fn create(
        client: &Client,
        version_type: VersionType,
    ) -> Result<Option<Self>, DriverError> {
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

fn applied(row: &Row) -> AppliedMigration {
    AppliedMigration {
        version: row.get(0),
        name: row.get(1),
        applied_on: row.get(2),
        checksum: row.get(3),
    }
}

/// Finds the table on the search path, with its schema and the size of its column `version`.
const FIND: &str = "SELECT pg_catalog.quote_ident(n.nspname) \
     OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname), \
     pg_catalog.quote_ident(n.nspname), t.typlen FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
     JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid \
     JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid \
     WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('refinery_schema_history') \
     AND a.attname OPERATOR(pg_catalog.=) 'version' AND NOT a.attisdropped";
