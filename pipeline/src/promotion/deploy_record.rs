//! The records of deploys and promotions: who made what live on a stage, when, and from which commit.

mod outcome;
mod writing;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError, Row};
use stagelink::{Database, Stage};

pub use self::outcome::DeployOutcome;
pub use self::writing::forget_deploys;
pub(crate) use self::writing::{NewDeploy, begin, finish};
use crate::error::{Error, ErrorKind};
use crate::migrations::{DEPLOYS_TABLE, ReadError, bounded_read, describe_driver_error};
use crate::promotion::function_versions::FunctionVersions;
use crate::promotion::own_table::OwnTable;

/// The record of a command that changed the code of a stage.
///
/// Neither its JSON nor its `Debug` has the key of the self-check.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeployRecord {
    /// The number of the record in the database.
    pub id: i64,
    /// The stage.
    pub stage: String,
    /// The name of the command: `deploy`, `promote` or `rollback`.
    pub command: String,
    /// The digest of the artifact, in hexadecimal.
    pub artifact: String,
    /// The service's id of the deploy; `None` until it has one.
    pub deploy: Option<String>,
    /// The service's id of the deploy that was live before; `None` where there was none.
    pub previous: Option<String>,
    /// The commit that the artifact was built from, where it is known.
    pub commit: Option<String>,
    /// The numbers of the migrations that the command applied.
    pub applied_migrations: Vec<i64>,
    /// The person or job that ran the command, as `user@host`; empty where that was not known.
    pub by: String,
    /// The time at which it began by the database server's clock, in the format of RFC 3339.
    pub started_at: String,
    /// The time at which it ended; `None` while it runs, or where it was interrupted.
    pub finished_at: Option<String>,
    /// The outcome; `None` while it runs, or where it was interrupted.
    pub outcome: Option<DeployOutcome>,
    /// The artifact's record file, as JSON.
    #[serde(skip)]
    pub manifest: Value,
    /// The key of the self-check of this deploy.
    #[serde(skip)]
    pub(crate) self_check_key: Option<SecretString>,
}

impl DeployRecord {
    /// Returns whether the command made this deploy, and it passed its tests.
    pub(crate) fn has_tested(&self, deploy: &str) -> bool {
        self.outcome.is_some_and(DeployOutcome::leaves_it_tested) && self.is_of(deploy)
    }

    /// Returns whether the command made this deploy, also one that has not passed its tests, or that a person
    /// has published since.
    pub(crate) fn has_made(&self, deploy: &str) -> bool {
        self.outcome.is_some_and(DeployOutcome::leaves_it_ready) && self.is_of(deploy)
    }

    /// Returns whether this is the deploy of the command. On AWS Lambda versions of a part of its functions are it,
    /// too: `stagelink.toml` may have named more of them then.
    pub(crate) fn is_of(&self, deploy: &str) -> bool {
        let Some(own) = self.deploy.as_deref() else {
            return false;
        };
        let is_part = || {
            let (part, own) = (
                FunctionVersions::parse(deploy)?,
                FunctionVersions::parse(own)?,
            );
            Some(part.is_part_of(&own))
        };
        own == deploy || is_part() == Some(true)
    }
}

/// Reads the records of a stage, the newest first, `limit` of them at the most. Those of another stage,
/// from whose database this one was copied, are left out.
///
/// # Errors
///
/// [`ErrorKind::Database`] when the database cannot be reached, or refuses the query.
pub async fn deploy_records(database: &Database, limit: u32) -> Result<Vec<DeployRecord>, Error> {
    let what = "could not read the records of deploys";
    let failed = |error| Error::with_source(ErrorKind::Database, what, error);
    let stage = database.stage().map_err(failed)?;
    let client = bounded_read::connect(database, what).await?;
    bounded_read::read_only(&client, what, read(&client, stage, limit)).await
}

/// Reads the records of a stage as [`deploy_records`] does, and the time by the server's clock.
///
/// # Errors
///
/// Those of [`deploy_records`].
pub(crate) async fn records_and_time(
    database: &Database,
    limit: u32,
) -> Result<(Vec<DeployRecord>, Timestamp), Error> {
    let what = "could not read the records of deploys";
    let failed = |error| Error::with_source(ErrorKind::Database, what, error);
    let stage = database.stage().map_err(failed)?;
    let client = bounded_read::connect(database, what).await?;
    let read = async {
        let seconds = "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.int8";
        let rows = client.query_typed(seconds, &[]).await?;
        let seconds = rows.first().map(|row| row.try_get(0)).transpose()?;
        let now = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let now = now.ok_or_else(|| ReadError::Unusable("the server told no time".to_owned()))?;
        Ok::<_, ReadError>((read(&client, stage, limit).await?, now))
    };
    bounded_read::read_only(&client, what, read).await
}

/// Reads the records of a stage through an open session, as [`deploy_records`] does.
///
/// # Errors
///
/// Those of the driver; [`ReadError::Unusable`] for a row that no command has written.
pub(crate) async fn read(
    client: &Client,
    stage: Stage,
    limit: u32,
) -> Result<Vec<DeployRecord>, ReadError> {
    let Some(table) = TABLE.find(client).await? else {
        return Ok(Vec::new());
    };
    let read = format!(
        "SELECT id, stage, command, artifact, deploy, previous, commit, applied_migrations, by, \
         {STARTED_AT}, {FINISHED_AT}, outcome, manifest::pg_catalog.text, self_check_key FROM {table} \
         WHERE stage = $1 ORDER BY id DESC LIMIT $2"
    );
    let (stage, limit) = (stage.to_string(), i64::from(limit));
    let parameters = [(&stage as _, Type::TEXT), (&limit as _, Type::INT8)];
    let rows = client.query_typed(&read, &parameters).await?;
    let records = rows.iter().map(|row| {
        record(row).map_err(|error| {
            let id: i64 = row.try_get(0).unwrap_or_default();
            ReadError::Unusable(format!(
                "the row with the id {id} of the table {table} is not as a command writes it ({}): mend \
                 it, or delete it",
                describe_driver_error(&error)
            ))
        })
    });
    records.collect()
}

fn record(row: &Row) -> Result<DeployRecord, DriverError> {
    let outcome: Option<&str> = row.try_get(11)?;
    let manifest: &str = row.try_get(12)?;
    let key: Option<String> = row.try_get(13)?;
    Ok(DeployRecord {
        id: row.try_get(0)?,
        stage: row.try_get(1)?,
        command: row.try_get(2)?,
        artifact: row.try_get(3)?,
        deploy: row.try_get(4)?,
        previous: row.try_get(5)?,
        commit: row.try_get(6)?,
        applied_migrations: row.try_get(7)?,
        by: row.try_get(8)?,
        started_at: row.try_get(9)?,
        finished_at: row.try_get(10)?,
        outcome: outcome.map(DeployOutcome::named),
        // The server has made sure that it is JSON.
        manifest: serde_json::from_str(manifest).unwrap_or_default(),
        self_check_key: key.map(SecretString::from),
    })
}

/// The table of records.
const TABLE: OwnTable = OwnTable {
    name: DEPLOYS_TABLE,
    columns: "id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stage text NOT NULL, \
              command text NOT NULL, artifact text NOT NULL, deploy text, previous text, commit text, \
              applied_migrations int8[] NOT NULL, by text NOT NULL, \
              started_at timestamptz NOT NULL, finished_at timestamptz, outcome text, \
              manifest jsonb NOT NULL, self_check_key text",
};

const STARTED_AT: &str = "pg_catalog.to_char(pg_catalog.timezone('UTC', started_at), \
     'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
const FINISHED_AT: &str = "pg_catalog.to_char(pg_catalog.timezone('UTC', finished_at), \
     'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";

#[cfg(test)]
mod tests;
