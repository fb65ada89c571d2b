//! Closes connections before a SnapStart snapshot, and opens one after a restore.

use lambda_http::{BoxFuture, Error, SnapStartResource};

use crate::database::Databases;
use crate::lambda::warm_up;

/// The databases of a process that is frozen once and restored many times.
///
/// Every restored instance would take an open connection of the snapshot for its own, though the
/// server ended the session long ago. So all connections are closed before, and those that a task
/// of the function still holds then are never lent again.
pub(super) struct Snapshot(pub(super) Databases);

impl SnapStartResource for Snapshot {
    fn before_snapshot(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.0.discard_connections().await;
            Ok(())
        })
    }

    /// Opens a connection. A failure does not end the process: each request tries again.
    fn after_restore(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            // All restored instances would go on with the same random numbers, and retry at the
            // same moments.
            fastrand::seed(crate::clock::SuspendAwareInstant::now().as_seed());
            self.0.discard_connections().await;
            if let Some(database) = self.0.named() {
                warm_up(database, "after the restore").await;
            }
            Ok(())
        })
    }
}
