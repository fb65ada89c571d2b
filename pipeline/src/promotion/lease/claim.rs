//! The statements by which a command takes the lease on a stage.

use stagelink::tokio_postgres::Error as DriverError;
use stagelink::tokio_postgres::types::Type;

use super::renewal::Times;
use super::row::{COLUMNS, LeaseRow};
use crate::migrations::{ReadError, Session};

/// A command that wants the lease.
pub(super) struct Claim<'a> {
    pub(super) session: &'a Session,
    /// The table's qualified name, quoted.
    pub(super) table: &'a str,
    pub(super) stage: String,
    pub(super) token: &'a str,
    pub(super) holder: &'a str,
    pub(super) command: &'a str,
    pub(super) times: Times,
}

impl Claim<'_> {
    /// Makes a new row, where the stage has none. One that has expired and has no progress counts as
    /// none: its command had changed nothing. Returns whether the row was made.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub(super) async fn insert(&self, progress: Option<&str>) -> Result<bool, DriverError> {
        let (client, table) = (&self.session.client, self.table);
        let delete = format!(
            "DELETE FROM {table} WHERE stage = $1 AND progress IS NULL \
             AND expires_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
        );
        let stage = [(&self.stage as _, Type::TEXT)];
        client.execute_typed(&delete, &stage).await?;
        let insert = format!(
            "INSERT INTO {table} (stage, token, holder, command, taken_at, expires_at, progress) \
             VALUES ($1, $2, $3, $5, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp() \
             + pg_catalog.make_interval(secs => $4), $6::pg_catalog.jsonb) \
             ON CONFLICT (stage) DO NOTHING"
        );
        let seconds = self.times.validity_seconds();
        let parameters = [
            (&self.stage as _, Type::TEXT),
            (&self.token as _, Type::TEXT),
            (&self.holder as _, Type::TEXT),
            (&seconds as _, Type::FLOAT8),
            (&self.command as _, Type::TEXT),
            (&progress as _, Type::TEXT),
        ];
        Ok(client.execute_typed(&insert, &parameters).await? == 1)
    }

    /// Takes over the row of the same command, if it has expired. Returns it as it is now.
    ///
    /// # Errors
    ///
    /// Those of the driver; [`ReadError::Unusable`] for a row that no command has written.
    pub(super) async fn take_over(&self) -> Result<Option<LeaseRow>, ReadError> {
        self.update(
            "command = $5 AND expires_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()",
            self.command,
        )
        .await
    }

    /// Takes over the row that was seen, also from a command that runs. It stays that of the same command.
    ///
    /// # Errors
    ///
    /// Those of [`take_over`](Self::take_over).
    pub(super) async fn seize(&self, seen: &LeaseRow) -> Result<Option<LeaseRow>, ReadError> {
        self.update("token = $5", &seen.token).await
    }

    /// Updates the row where a condition on `$5` holds.
    async fn update(
        &self,
        condition: &str,
        condition_value: &str,
    ) -> Result<Option<LeaseRow>, ReadError> {
        let table = self.table;
        let update = format!(
            "UPDATE {table} SET token = $2, holder = $3, taken_at = pg_catalog.clock_timestamp(), \
             expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4) \
             WHERE stage = $1 AND {condition} RETURNING {COLUMNS}"
        );
        let seconds = self.times.validity_seconds();
        let parameters = [
            (&self.stage as _, Type::TEXT),
            (&self.token as _, Type::TEXT),
            (&self.holder as _, Type::TEXT),
            (&seconds as _, Type::FLOAT8),
            (&condition_value as _, Type::TEXT),
        ];
        let client = &self.session.client;
        let rows = client.query_typed(&update, &parameters).await?;
        rows.first().map(|row| LeaseRow::of(row, table)).transpose()
    }
}
