//! The migrations of an empty database that a test has made itself.

use std::path::Path;

use stagelink::{Database, Settings};

use crate::error::Error;
use crate::migrations::Migrations;
use crate::options::package_folder;

/// Applies the migrations of a folder to an empty database that a test has made itself, such as that of a
/// stage of `stagelink_local::Cloud`. The stage of a [`TestStage`](crate::TestStage) has them already.
///
/// `variables` are those of a function that uses the database. A relative path starts at the package's
/// folder.
///
/// # Errors
///
/// When the folder cannot be read, the database cannot be reached, or a migration fails.
pub async fn migrate<N, V>(
    variables: impl IntoIterator<Item = (N, V)>,
    folder: impl AsRef<Path>,
) -> Result<(), Error>
where
    N: Into<String>,
    V: Into<String>,
{
    let migrations = Migrations::read(&package_folder().join(folder))?;
    let database = Database::new(Settings::from_vars(variables));
    let client = database.client().await.map_err(|error| {
        Error::with_source("the database to be migrated cannot be reached", error)
    })?;
    migrations.apply(&client).await
}
