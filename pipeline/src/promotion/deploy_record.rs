//! The records of deploys and promotions: who made what live on a stage, when, and from which commit.

use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError, Row};
use stagelink::{Database, Stage};

use crate::error::{Error, ErrorKind};
use crate::migrations::{ReadError, Session, SessionWork, describe_driver_error};
use crate::promotion::lease::LeaseHandle;
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
    /// Returns whether the command made this deploy live, and it passed its tests.
    pub(crate) fn is_live_as(&self, deploy: &str) -> bool {
        self.outcome == Some(DeployOutcome::Succeeded) && self.deploy.as_deref() == Some(deploy)
    }

    /// Returns whether the command made this deploy live, also one that has not passed its tests.
    pub(crate) fn has_made_live(&self, deploy: &str) -> bool {
        self.outcome.is_some_and(DeployOutcome::leaves_it_live)
            && self.deploy.as_deref() == Some(deploy)
    }
}

/// The outcome of a command that changed the code of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeployOutcome {
    /// The artifact went live.
    Succeeded,
    /// The command ended before the artifact was live.
    Failed,
    /// The artifact was live, and did not answer as it should: the one before is live again.
    Restored,
    /// The artifact is live, and has not passed its test: the one before could not be made live again.
    Untested,
    /// A person took it back with `--abort`, or another command began after it was interrupted.
    Aborted,
    /// An outcome that this version does not know.
    Other,
}

/// The facts of a command that begins to change the code of a stage.
pub(crate) struct NewDeploy<'a> {
    pub(crate) command: &'a str,
    /// The digest of the artifact.
    pub(crate) artifact: &'a str,
    pub(crate) previous: Option<&'a str>,
    pub(crate) commit: Option<&'a str>,
    pub(crate) by: &'a str,
    /// The artifact's record file.
    pub(crate) manifest: &'a Value,
    pub(crate) self_check_key: Option<&'a SecretString>,
}

/// Begins a record, and returns its number.
///
/// One of the same command and artifact that was begun and not finished is gone on with. Others that were
/// not finished are recorded as aborted: the lease on the stage says that they no longer run.
///
/// # Errors
///
/// [`ErrorKind::Database`] when the database cannot be reached, or does not let the role create the table
/// or write to it; [`ErrorKind::Settings`] when the URL leads to a pooler; [`ErrorKind::Busy`] when the
/// lease is another command's by now.
pub(crate) async fn begin(
    database: &Database,
    lease: &LeaseHandle,
    deploy: &NewDeploy<'_>,
) -> Result<i64, Error> {
    let session = Session::open_for(SessionWork::DeployRecord, database).await?;
    let table = TABLE.ensure(&session).await?;
    let what = "could not record the deploy in the database";
    let begun = insert(&session.client, &table, session.stage, lease, deploy);
    let begun = session.answered(what, begun).await?;
    begun.ok_or_else(|| lost(session.stage, what))
}

/// Returns the number of the record; `None` where the lease is another command's.
async fn insert(
    client: &Client,
    table: &str,
    stage: Stage,
    lease: &LeaseHandle,
    deploy: &NewDeploy<'_>,
) -> Result<Option<i64>, ReadError> {
    let held = held(lease, "$1", "$9");
    // Without the lease no row is the same, and none is made.
    let sql = format!(
        "WITH same AS (SELECT max(id) AS id FROM {table} WHERE stage = $1 AND finished_at IS NULL \
         AND command = $2 AND artifact = $3 HAVING {held}), \
         aborted AS (UPDATE {table} AS one SET finished_at = pg_catalog.clock_timestamp(), \
         outcome = 'aborted' FROM same WHERE one.stage = $1 AND one.finished_at IS NULL \
         AND one.id IS DISTINCT FROM same.id), \
         repeated AS (UPDATE {table} AS one SET by = $6, self_check_key = $8 FROM same \
         WHERE one.id = same.id RETURNING one.id), \
         begun AS (INSERT INTO {table} (stage, command, artifact, previous, commit, by, manifest, \
         self_check_key, applied_migrations, started_at) \
         SELECT $1, $2, $3, $4, $5, $6, $7::pg_catalog.jsonb, $8, '{{}}', pg_catalog.clock_timestamp() \
         FROM same WHERE same.id IS NULL RETURNING id) \
         SELECT id FROM repeated UNION ALL SELECT id FROM begun"
    );
    let stage = stage.to_string();
    let manifest = deploy.manifest.to_string();
    let key = deploy.self_check_key.map(ExposeSecret::expose_secret);
    let token = lease.token();
    let rows = client
        .query_typed(
            &sql,
            &[
                (&stage, Type::TEXT),
                (&deploy.command, Type::TEXT),
                (&deploy.artifact, Type::TEXT),
                (&deploy.previous, Type::TEXT),
                (&deploy.commit, Type::TEXT),
                (&deploy.by, Type::TEXT),
                (&manifest, Type::TEXT),
                (&key, Type::TEXT),
                (&token, Type::TEXT),
            ],
        )
        .await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}

/// Returns the condition that a command still has the lease, as a part of the statement that needs it: a
/// command that was stopped since it last asked changes no record of the one that has the stage by now.
fn held(lease: &LeaseHandle, stage: &str, token: &str) -> String {
    let table = lease.table();
    format!(
        "EXISTS (SELECT FROM {table} AS held WHERE held.stage = {stage} AND held.token = {token} \
         AND held.expires_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())"
    )
}

fn lost(stage: Stage, what: &str) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!(
            "stage {stage}: {what}: the lease on the stage was lost, so nothing more was changed"
        ),
    )
}

/// Finishes a record. `deploy` is the service's id of the deploy, as far as there is one.
///
/// # Errors
///
/// [`ErrorKind::Database`] when the database cannot be reached, or the record is not there;
/// [`ErrorKind::Settings`] when the URL leads to a pooler; [`ErrorKind::Busy`] when the lease is another
/// command's by now.
pub(crate) async fn finish(
    database: &Database,
    lease: &LeaseHandle,
    id: i64,
    outcome: DeployOutcome,
    deploy: Option<&str>,
    applied_migrations: &[i64],
) -> Result<(), Error> {
    let session = Session::open_for(SessionWork::DeployRecord, database).await?;
    let table = TABLE.ensure(&session).await?;
    let what = "could not record the end of the deploy in the database";
    let held = held(lease, "$2", "$6");
    let sql = format!(
        "WITH held AS (SELECT {held} AS is_held), \
         finished AS (UPDATE {table} SET finished_at = pg_catalog.clock_timestamp(), outcome = $3, \
         deploy = $4, applied_migrations = $5 FROM held WHERE is_held AND id = $1 AND stage = $2 \
         RETURNING id) \
         SELECT is_held, EXISTS (SELECT FROM finished) FROM held"
    );
    let (stage, token) = (session.stage.to_string(), lease.token());
    let finished = async {
        let parameters = [
            (&id as _, Type::INT8),
            (&stage as _, Type::TEXT),
            (&outcome.name() as _, Type::TEXT),
            (&deploy as _, Type::TEXT),
            (&applied_migrations as _, Type::INT8_ARRAY),
            (&token as _, Type::TEXT),
        ];
        let rows = session.client.query_typed(&sql, &parameters).await?;
        let (is_held, is_finished) = match rows.first() {
            Some(row) => (row.try_get(0)?, row.try_get(1)?),
            None => (false, false),
        };
        match is_finished || !is_held {
            true => Ok(is_held),
            false => Err(ReadError::Unusable(format!(
                "the table {table} no longer has the record {id}"
            ))),
        }
    };
    match session.answered(what, finished).await? {
        true => Ok(()),
        false => Err(lost(session.stage, what)),
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
    let client = database.client().await.map_err(failed)?;
    let records = read(&client, stage, limit).await;
    records.map_err(|error| Error::new(ErrorKind::Database, format!("{what}: {error}")))
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
    let client = database.client().await.map_err(failed)?;
    let read = async {
        let seconds = "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.int8";
        let rows = client.query_typed(seconds, &[]).await?;
        let seconds = rows.first().map(|row| row.try_get(0)).transpose()?;
        let now = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let now = now.ok_or_else(|| ReadError::Unusable("the server told no time".to_owned()))?;
        Ok((read(&client, stage, limit).await?, now))
    };
    read.await
        .map_err(|error: ReadError| Error::new(ErrorKind::Database, format!("{what}: {error}")))
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

impl DeployOutcome {
    /// Returns the name in the database and in JSON, such as `succeeded`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Restored => "restored",
            Self::Untested => "untested",
            Self::Aborted => "aborted",
            Self::Other => "other",
        }
    }

    /// Returns whether the artifact was live at the end of the command.
    pub(crate) fn leaves_it_live(self) -> bool {
        matches!(self, Self::Succeeded | Self::Untested)
    }

    fn named(name: &str) -> Self {
        let known = [
            Self::Succeeded,
            Self::Failed,
            Self::Restored,
            Self::Untested,
            Self::Aborted,
        ];
        let found = known.into_iter().find(|one| one.name() == name);
        found.unwrap_or(Self::Other)
    }
}

impl fmt::Display for DeployOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for DeployOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for DeployOutcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::named(&name))
    }
}

/// The table of records.
const TABLE: OwnTable = OwnTable {
    name: "stagelink_deploys",
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
