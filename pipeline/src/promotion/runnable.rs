//! The gate that is asked again once a command has begun its record: a migration may have been applied
//! since its plan was made. From the record on, `migrate --after` takes the artifact into account.

use stagelink::Database;

use crate::artifact::Manifest;
use crate::error::{Error, ErrorKind};
use crate::migrations::MigrationFolder;
use crate::needs::{RecordedMigration, gate_site};

/// Makes sure that an artifact runs on the database of a stage as it is. `migrations` tells the classes
/// that the database does not know.
///
/// # Errors
///
/// [`ErrorKind::Migration`] where it does not, with the reasons; [`ErrorKind::Database`] where the
/// history cannot be read.
pub(crate) async fn ensure_runnable(
    database: &Database,
    migrations: Option<&MigrationFolder>,
    manifest: &Manifest,
) -> Result<(), Error> {
    let history = RecordedMigration::read_all(database, migrations).await?;
    let lists = manifest.migration_lists();
    let verdict = gate_site(lists.iter().map(Option::as_ref), &history);
    if verdict.is_runnable() {
        return Ok(());
    }
    let stage = database.stage().map_err(|error| {
        Error::with_source(ErrorKind::Database, "could not read the history", error)
    })?;
    Err(Error::new(
        ErrorKind::Migration,
        format!(
            "the schema of stage {stage} does not carry this code as it is: go forward with a new deploy"
        ),
    )
    .with_details(verdict.reasons()))
}
