//! Closes connections before a SnapStart snapshot, and opens one after a restore.

use crate::database::Databases;
use crate::lambda::runtime_api::RuntimeApi;
use crate::lambda::warm_up;

/// Lets Lambda take a snapshot of this process, if it wants one, and waits for the restore.
///
/// Every restored instance would take an open connection of the snapshot for its own, though the
/// server ended the session long ago. So all connections are closed before, and those that a task
/// of the function still holds then are never lent again; nor is `api` used for anything else.
///
/// # Errors
///
/// When the Runtime API refuses the restore. A failure to connect does not end the process: each
/// request tries again.
pub(super) async fn pass_snapshot(
    api: &RuntimeApi,
    databases: &Databases,
) -> Result<(), lambda_http::Error> {
    databases.discard_connections().await;
    api.wait_for_restore().await?;
    // All restored instances would go on with the same random numbers, and retry at the same
    // moments.
    fastrand::seed(crate::clock::SuspendAwareInstant::now().as_seed());
    databases.discard_connections().await;
    if let Some(database) = databases.named() {
        warm_up(database, "after the restore").await;
    }
    Ok(())
}
