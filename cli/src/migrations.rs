//! Applies the project's migrations to a stage's database.

use std::path::Path;

use anyhow::Context as _;
use refinery::{Runner, load_sql_migrations};
use stagelink::DetachedClient;

/// Applies the files `V<number>__<name>.sql` of a folder that the database has
/// not seen yet, in order, each in a transaction of its own. Returns their names.
///
/// What was applied is kept in the table `refinery_schema_history`.
///
/// # Errors
///
/// When a file cannot be read, was changed after it was applied, or fails; those
/// before it stay applied.
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
