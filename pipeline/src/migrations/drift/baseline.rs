//! The snapshots of a run of migrations: before its first file, and after its last.

use stagelink::tokio_postgres::Client;

use crate::migrations::drift::kept::{Kept, keep};
use crate::migrations::drift::snapshot::{SCHEMA_CHANGES, SchemaSnapshot};
use crate::migrations::history::History;
use crate::migrations::read_error::ReadError;

/// The schema before a run, with the snapshot that an earlier run kept.
///
/// The run keeps what the earlier one did, with its own changes: what was changed by hand in between
/// stays a difference.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    /// The snapshot of the earlier run, and the schema as it is. `None` where there is no snapshot
    /// of this version's format, or a migration was recorded since.
    earlier: Option<(SchemaSnapshot, SchemaSnapshot)>,
    /// The time at which a person accepted what the earlier snapshot has beside its migrations.
    accepted_at: Option<String>,
}

impl Baseline {
    /// Reads both before the first file. A failure never ends the run.
    pub(crate) async fn read(client: &Client, history: &History) -> Self {
        let read = async {
            Ok::<_, stagelink::tokio_postgres::Error>(match Kept::read(client).await? {
                Kept::Snapshot(kept) if kept.is_of(history) => {
                    let now = SchemaSnapshot::read(client).await?;
                    now.map(|now| Self {
                        earlier: Some((kept.snapshot, now)),
                        accepted_at: kept.accepted_at,
                    })
                }
                _ => None,
            })
        };
        read.await.ok().flatten().unwrap_or_default()
    }

    /// Returns whether the schema that the migrations have left is known.
    pub(crate) fn is_known(&self) -> bool {
        self.earlier.is_some()
    }

    /// Keeps the snapshot after the last file that was applied.
    ///
    /// # Errors
    ///
    /// The reason why it could not be kept, for the operator. The migrations stay applied.
    pub(crate) async fn keep(self, client: &Client) -> Result<(), String> {
        let kept = async {
            let Some(history) = History::read(client).await? else {
                return Ok(true);
            };
            let Some(after) = SchemaSnapshot::read(client).await? else {
                return Ok(false);
            };
            let snapshot = match self.earlier {
                Some((kept, before)) => kept.advanced(&before, &after),
                None => after,
            };
            keep(client, &history, &snapshot, self.accepted_at).await?;
            Ok::<_, ReadError>(true)
        };
        match kept.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(SCHEMA_CHANGES.to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}
