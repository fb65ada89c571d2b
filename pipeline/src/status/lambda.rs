//! The code of a stage on AWS Lambda: the versions that its aliases point to, and the artifact that the
//! deploy record says they are.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stagelink::Database;

use crate::aws::{AwsAccess, Lambda};
use crate::error::Error;
use crate::promotion::{
    DeployRecord, LiveFunction, MOST_LAMBDA_RECORDS, PublishedCode, deploy_records,
    look_at_aliases, record_of,
};
use crate::status::lookup::{Lookup, within};

/// The functions of a stage on AWS Lambda.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LambdaStatus {
    /// The account and the region.
    pub account: String,
    /// The functions.
    pub functions: Vec<LambdaFunctionStatus>,
    /// The digest of the artifact, by the record of the deploy that moved the aliases to these versions.
    pub artifact: Lookup<String>,
    /// The commit of that artifact, where it is known.
    pub commit: Option<String>,
    /// When the aliases were moved, by the same record, in the format of RFC 3339.
    pub since: Option<String>,
}

/// A function of a stage on AWS Lambda.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LambdaFunctionStatus {
    /// The name of the project's function.
    pub name: String,
    /// The name on Lambda.
    pub function: String,
    /// The version that the stage's alias points to; `None` where there is no alias.
    pub version: Option<String>,
    /// The SHA-256 of the version's archive, as Lambda writes it.
    pub sha256: Option<String>,
}

/// The aliases of a stage, as they were looked up without its database.
#[derive(Clone)]
pub(super) struct Aliases {
    account: String,
    functions: Vec<LiveFunction>,
}

/// Returns what the aliases say of the code that runs.
pub(super) fn published(aliases: &Lookup<Aliases>) -> Option<PublishedCode> {
    let functions = match aliases {
        Lookup::Known { value } => Ok(&*value.functions),
        Lookup::Absent { .. } => return None,
        Lookup::NotKnown { reason } => Err(&**reason),
    };
    PublishedCode::of_aliases(functions)
}

/// Looks up the alias of each function of a stage.
pub(super) async fn look_up(
    access: &Result<AwsAccess, String>,
    alias: &str,
    functions: &BTreeMap<String, String>,
    limit: Duration,
) -> Lookup<Aliases> {
    if functions.is_empty() {
        return Lookup::absent(NO_FUNCTION);
    }
    match access {
        Ok(access) => Lookup::of(within(limit, read(access, alias, functions)).await),
        Err(reason) => Lookup::not_known(reason),
    }
}

async fn read(
    access: &AwsAccess,
    alias: &str,
    functions: &BTreeMap<String, String>,
) -> Result<Aliases, Error> {
    let lambda = Lambda::connect(access).await?;
    Ok(Aliases {
        functions: look_at_aliases(&lambda, alias, functions).await?,
        account: lambda.caller().to_string(),
    })
}

/// Reads the records of deploys, of a stage that has functions on Lambda.
pub(super) async fn read_records(
    database: &Database,
    limit: Duration,
) -> Result<Vec<DeployRecord>, String> {
    let records = within(limit, deploy_records(database, MOST_LAMBDA_RECORDS)).await;
    records.map_err(|error| error.report())
}

/// Returns the status of a stage's functions, with what the records say of their versions.
pub(super) fn status(
    aliases: Lookup<Aliases>,
    records: Result<Vec<DeployRecord>, String>,
) -> Lookup<LambdaStatus> {
    let Aliases { account, functions } = match aliases {
        Lookup::Known { value } => value,
        Lookup::Absent { reason } => return Lookup::Absent { reason },
        Lookup::NotKnown { reason } => return Lookup::NotKnown { reason },
    };
    let (mut commit, mut since) = (None, None);
    let artifact = match records.map(|records| record_of(records, &functions)) {
        Ok(Some(record)) => {
            (commit, since) = (record.commit, record.finished_at);
            Lookup::known(record.artifact)
        }
        Ok(None) => Lookup::absent("no record of a deploy has these versions"),
        Err(reason) => Lookup::not_known(reason),
    };
    let functions = functions.into_iter().map(|live| LambdaFunctionStatus {
        version: live.number().map(str::to_owned),
        sha256: live.version.map(|version| version.sha256),
        name: live.name,
        function: live.lambda,
    });
    Lookup::known(LambdaStatus {
        account,
        functions: functions.collect(),
        artifact,
        commit,
        since,
    })
}

/// Returns the look-up of a stage that has no functions there.
pub(super) fn not_looked_up() -> Lookup<LambdaStatus> {
    Lookup::absent(NO_FUNCTION)
}

const NO_FUNCTION: &str = "stagelink.toml names no function of the stage on AWS Lambda";
