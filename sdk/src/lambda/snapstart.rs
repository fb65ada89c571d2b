//! What a SnapStart snapshot must not hold, and what is made anew after a restore.

use lambda_http::{BoxFuture, Error, SnapStartResource};

use crate::database::Databases;
use crate::lambda::warm_up;

/// The connections of a process that is frozen once and woken many times.
///
/// A connection that is open in the snapshot would be each restored instance's own idea of one
/// session, which the server has ended long ago. So all are closed before, and what is left of
/// them (a task of the function's own may hold one, or open one at the last moment) is never
/// lent again.
pub(super) struct Snapshot(pub(super) Databases);

impl SnapStartResource for Snapshot {
    fn before_snapshot(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.0.discard_connections().await;
            Ok(())
        })
    }

    /// A database that cannot be reached is no reason to end the process: the requests get
    /// their own try and answer.
    fn after_restore(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            // All restored instances go on from the same random numbers, and would come to a
            // server in trouble at the same moments.
            fastrand::seed(crate::clock::SuspendAwareInstant::now().as_seed());
            self.0.discard_connections().await;
            if let Some(database) = self.0.named() {
                warm_up(database, "after the restore").await;
            }
            Ok(())
        })
    }
}
