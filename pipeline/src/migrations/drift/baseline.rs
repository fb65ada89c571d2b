//! The snapshots of a run of migrations: before its first file, and after its last.

use stagelink::tokio_postgres::Client;

use crate::migrations::drift::kept::{KeptSnapshot, keep};
use crate::migrations::drift::snapshot::SchemaSnapshot;
use crate::migrations::history::History;
use crate::migrations::server_words::describe;

/// The schema before a run, with the snapshot that an earlier run kept.
///
/// The run keeps what the earlier one did, with its own changes: what was changed by hand in between
/// stays a difference.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    /// The snapshot of the earlier run, and the schema as it is. `None` where there is no snapshot,
    /// or a migration was recorded since.
    earlier: Option<(SchemaSnapshot, SchemaSnapshot)>,
}

impl Baseline {
    /// Reads both before the first file. A failure never ends the run.
    pub(crate) async fn read(client: &Client, history: &History) -> Self {
        let read = async {
            let kept = KeptSnapshot::read(client).await?;
            let kept = kept.filter(|kept| kept.is_of(history));
            Ok::<_, stagelink::tokio_postgres::Error>(match kept {
                Some(kept) => Some((kept.snapshot, SchemaSnapshot::read(client).await?)),
                None => None,
            })
        };
        Self {
            earlier: read.await.ok().flatten(),
        }
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
                return Ok(());
            };
            let after = SchemaSnapshot::read(client).await?;
            let snapshot = match self.earlier {
                Some((kept, before)) => kept.advanced(&before, &after),
                None => after,
            };
            keep(client, &history, &snapshot).await
        };
        kept.await.map_err(|error| describe(&error))
    }
}
