//! The statements that begin and finish a record, each of which names the lease.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use stagelink::tokio_postgres::Client;
use stagelink::tokio_postgres::types::Type;
use stagelink::{Database, Stage};

use super::{DeployOutcome, TABLE};
use crate::error::{Error, ErrorKind};
use crate::migrations::{ReadError, Session, SessionWork};
use crate::promotion::lease::LeaseHandle;

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

/// Removes the records of the stage's deploys, as `stagelink dev` does at its start: the deploys of the
/// local Netlify are gone with the process that served them, and no code of theirs runs.
///
/// # Errors
///
/// [`ErrorKind::Database`] when the database cannot be reached, or refuses the statement;
/// [`ErrorKind::Settings`] when the URL leads to a pooler.
pub async fn forget_deploys(database: &Database) -> Result<(), Error> {
    let session = Session::open_for(SessionWork::DeployRecord, database).await?;
    let removed = async {
        let Some(table) = TABLE.find(&session.client).await? else {
            return Ok(());
        };
        let stage = session.stage.to_string();
        let remove = format!("DELETE FROM {table} WHERE stage = $1");
        let parameters = [(&stage as _, Type::TEXT)];
        session.client.query_typed(&remove, &parameters).await?;
        Ok::<_, ReadError>(())
    };
    let what = "could not remove the records of deploys that are gone";
    session.answered(what, removed).await
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
