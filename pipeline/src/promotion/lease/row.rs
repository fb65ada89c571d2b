//! The row of a lease, as others see it.

use std::fmt;

use serde_json::Value;
use stagelink::Stage;
use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError, Row};

use crate::migrations::{ReadError, describe_driver_error};

/// The row of the lease on a stage. Its `Debug` leaves out the progress, which may hold a secret.
#[derive(Clone)]
pub(crate) struct LeaseRow {
    pub(crate) stage: String,
    /// The person or job that holds it, as `user@host`.
    pub(crate) holder: String,
    /// The name of the command, such as `promote`.
    pub(crate) command: String,
    /// The time at which it was taken by this holder, in the format of RFC 3339.
    pub(crate) taken_at: String,
    /// The time at which it ends unless it is renewed, in the format of RFC 3339.
    pub(crate) expires_at: String,
    /// True if it has ended by the server's clock.
    pub(crate) is_expired: bool,
    /// The state of the command, by which a rerun goes on; null where it has kept none.
    pub(crate) progress: Value,
    pub(super) token: String,
    /// True for one that was written before the database was restored, forked or failed over. Only
    /// [`Lease::look`](super::Lease::look) tells it.
    pub(crate) is_foreign: bool,
}

impl LeaseRow {
    /// Reads the row of a stage. Those of other stages are of a database that was copied.
    ///
    /// # Errors
    ///
    /// Those of the driver; [`ReadError::Unusable`] for a row that no command has written.
    pub(super) async fn read(
        client: &Client,
        table: &str,
        stage: Stage,
    ) -> Result<Option<Self>, ReadError> {
        let read = format!("SELECT {COLUMNS} FROM {table} WHERE stage = $1");
        let rows = client
            .query_typed(&read, &[(&stage.to_string(), Type::TEXT)])
            .await?;
        rows.first().map(|row| Self::of(row, table)).transpose()
    }

    /// Reads the columns [`COLUMNS`].
    ///
    /// # Errors
    ///
    /// [`ReadError::Unusable`] for a row that no command has written.
    pub(super) fn of(row: &Row, table: &str) -> Result<Self, ReadError> {
        Self::columns(row).map_err(|error| {
            ReadError::Unusable(format!(
                "the row of the table {table} is not as a command writes it ({}): delete it, if no \
                 command changes the stage",
                describe_driver_error(&error)
            ))
        })
    }

    fn columns(row: &Row) -> Result<Self, DriverError> {
        let progress: &str = row.try_get(7)?;
        Ok(Self {
            stage: row.try_get(0)?,
            token: row.try_get(1)?,
            holder: row.try_get(2)?,
            command: row.try_get(3)?,
            taken_at: row.try_get(4)?,
            expires_at: row.try_get(5)?,
            is_expired: row.try_get(6)?,
            // The server has made sure that it is JSON.
            progress: serde_json::from_str(progress).unwrap_or_default(),
            is_foreign: false,
        })
    }
}

impl fmt::Debug for LeaseRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseRow")
            .field("stage", &self.stage)
            .field("holder", &self.holder)
            .field("command", &self.command)
            .field("taken_at", &self.taken_at)
            .field("expires_at", &self.expires_at)
            .field("is_expired", &self.is_expired)
            .finish_non_exhaustive()
    }
}

/// The holder of a lease, as in `` `stagelink promote` of ann@desk ``.
impl fmt::Display for LeaseRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`stagelink {}`", self.command)?;
        match &*self.holder {
            "" => Ok(()),
            holder => write!(f, " of {holder}"),
        }
    }
}

/// The columns that [`LeaseRow::of`] reads.
pub(super) const COLUMNS: &str = "stage, token, holder, command, \
     pg_catalog.to_char(pg_catalog.timezone('UTC', taken_at), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
     pg_catalog.to_char(pg_catalog.timezone('UTC', expires_at), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
     expires_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp(), \
     coalesce(progress::pg_catalog.text, 'null')";
