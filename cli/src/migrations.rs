//! Applies the project's migrations to a stage's database.

use std::path::Path;

use anyhow::Context as _;
use refinery::{Runner, load_sql_migrations};
use stagelink::DetachedClient;

/// Applies the files `V<number>__<name>.sql` of a folder that are new to the database, in order,
/// each in a transaction of its own. Returns their names.
///
/// The table `refinery_schema_history` records the applied files.
///
/// # Errors
///
/// When a file cannot be read, has changed since it was applied, or fails. The files before it
/// stay applied.
pub async fn apply(db: &mut DetachedClient, folder: &Path) -> anyhow::Result<Vec<String>> {
    let migrations = load_sql_migrations(folder)
        .with_context(|| format!("could not read the migrations in {}", folder.display()))?;
    let report = Runner::new(&migrations)
        .run_async(&mut ***db)
        .await
        .with_context(|| format!("could not apply the migrations in {}", folder.display()))?;
    Ok(report
        .applied_migrations()
        .iter()
        .map(ToString::to_string)
        .collect())
}
