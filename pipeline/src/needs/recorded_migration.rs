//! A migration that a database's history records, with the class by which it was applied.

use std::fmt;

use stagelink::tokio_postgres::Client;
use stagelink::{Database, one_line};

use crate::error::Error;
use crate::migrations::bounded_read;
use crate::migrations::class::Class;
use crate::migrations::{History, MigrationFolder, ReadError, read_records};
use crate::needs::listed_migration::ListedMigration;
use crate::needs::migration_list::MigrationList;

/// A migration that was applied to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedMigration {
    /// The number.
    pub version: i64,
    /// The name, without number.
    pub name: String,
    /// The checksum, as the history has it.
    pub checksum: String,
    /// The class; `None` where nothing tells it, as for a file that refinery applied.
    pub class: Option<Class>,
}

impl RecordedMigration {
    /// Reads the history of a stage's database, in the order of its numbers; it is empty where there
    /// is none. A pooler or a follower is no obstacle.
    ///
    /// A class that the database does not record is that of the file of `folder` with the same
    /// checksum.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`](crate::ErrorKind::Database) when the database cannot be reached, or the role may not read the
    /// history.
    pub async fn read_all(
        database: &Database,
        folder: Option<&MigrationFolder>,
    ) -> Result<Vec<Self>, Error> {
        let what = "could not read the history of migrations";
        let client = bounded_read::connect(database, what).await?;
        bounded_read::read_only(&client, what, Self::read_by(&client, folder)).await
    }

    /// Reads the history by a connection, as [`read_all`](Self::read_all) does.
    pub(crate) async fn read_by(
        client: &Client,
        folder: Option<&MigrationFolder>,
    ) -> Result<Vec<Self>, ReadError> {
        let history = History::read(client).await?;
        let records = read_records(client).await?;
        let list = folder.map(MigrationList::of).unwrap_or_default();
        let applied = history.map(|history| history.applied).unwrap_or_default();
        let recorded = applied.into_iter().map(|row| {
            let mut recorded = Self {
                version: row.version,
                name: row.name,
                checksum: row.checksum,
                class: None,
            };
            // The newest record counts: a migration may have been taken back, and applied again.
            let mut records = records.iter().rev();
            let record = records.find(|record| {
                record.version == recorded.version && record.checksum == recorded.checksum
            });
            let mut listed = list.migrations().iter();
            let listed = listed.find(|listed| recorded.is_of(listed));
            recorded.class = match record {
                Some(record) => record.class,
                None => listed.map(|listed| listed.class),
            };
            recorded
        });
        Ok(recorded.collect())
    }

    /// Returns whether the row is of this migration, with the same content.
    pub fn is_of(&self, listed: &ListedMigration) -> bool {
        self.version == listed.version
            && self.name == listed.name
            && listed.checksums.contains(&self.checksum)
    }
}

impl fmt::Display for RecordedMigration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}__{}", self.version, one_line(&self.name))
    }
}
