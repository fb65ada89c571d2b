//! Waits for the lease on a stage as long as it may be that of a command that was killed.

use std::time::Duration;

use stagelink::Database;
use tokio::time::sleep;

use crate::error::{Error, ErrorKind};
use crate::promotion::event::{PromotionEvent, PromotionListener};
use crate::promotion::lease::{Lease, LeaseRow, Taken};

/// Takes the lease on a stage. Where the same command has it, it is watched: a command that lives
/// renews its lease, and that of a killed one ends within a minute.
///
/// # Errors
///
/// [`ErrorKind::Busy`] where a living command has it, and the other errors of [`Lease::take`].
pub(crate) async fn take_when_free(
    database: &Database,
    by: &str,
    command: &str,
    listener: &PromotionListener<'_>,
) -> Result<Taken, Error> {
    let mut seen: Option<LeaseRow> = None;
    loop {
        let error = match Lease::take(database, by, command, None).await {
            Err(error) if error.kind() == ErrorKind::Busy => error,
            taken => return taken,
        };
        let Some(row) = Lease::look(database).await? else {
            continue;
        };
        let is_renewed = seen
            .as_ref()
            .is_some_and(|seen| seen.expires_at != row.expires_at);
        if row.command != command || is_renewed {
            return Err(error);
        }
        if seen.is_none() {
            let text = format!("looking whether {row} still runs, until {}", row.expires_at);
            listener(&PromotionEvent::Waits(&text));
        }
        seen = Some(row);
        sleep(PAUSE).await;
    }
}

const PAUSE: Duration = Duration::from_secs(1);
