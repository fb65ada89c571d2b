//! The demands of a run on the classes of its files, by its phase and by what the database has.

use stagelink::tokio_postgres::{Client, Error as DriverError};

use crate::migrations::enforcement::{DeployPhase, Enforcement};

/// The demands on the files of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demands {
    /// None: nothing uses the database.
    None,
    /// Only that a file changes nothing outside of the database, which is empty.
    OfEmptyDatabase,
    /// Those of the classes, before or after a deploy.
    OfClasses(DeployPhase),
}

impl Demands {
    /// Returns the demands of a run, for which a database without a history is asked whether it is
    /// empty.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub(super) async fn ask(
        client: &Client,
        enforcement: Enforcement,
        has_history: bool,
    ) -> Result<Self, DriverError> {
        match enforcement {
            Enforcement::Nothing => Ok(Self::None),
            Enforcement::OfStage(_) if !has_history && is_empty(client).await? => {
                Ok(Self::OfEmptyDatabase)
            }
            Enforcement::OfStage(phase) => Ok(Self::OfClasses(phase)),
        }
    }
}

/// Returns whether a database has neither tables nor functions, but for those of extensions.
async fn is_empty(client: &Client) -> Result<bool, DriverError> {
    let rows = client.query_typed(IS_EMPTY, &[]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

const IS_EMPTY: &str = "\
WITH objects (oid, catalog, namespace) AS (
    SELECT oid, 'pg_catalog.pg_class'::pg_catalog.regclass, relnamespace FROM pg_catalog.pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
        AND relname NOT IN ('refinery_schema_history', 'stagelink_migration_records',
            'stagelink_schema_snapshot', 'stagelink_leases', 'stagelink_deploys')
    UNION ALL
    SELECT oid, 'pg_catalog.pg_proc'::pg_catalog.regclass, pronamespace FROM pg_catalog.pg_proc)
SELECT NOT EXISTS (SELECT FROM objects o
    JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace
    WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = o.catalog AND d.objid = o.oid AND d.deptype = 'e'))";
