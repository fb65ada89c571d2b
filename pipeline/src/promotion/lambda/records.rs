//! The deploy records of a stage on Lambda, which say what the versions behind its aliases are.

use crate::error::Error;
use crate::promotion::deploy_record::{self, DeployRecord};
use crate::promotion::lambda::live::{LiveFunction, versions_of};
use crate::promotion::lambda::stage::LambdaStage;

/// Returns the record of the command that moved the aliases to where they are.
///
/// # Errors
///
/// The errors of the database.
pub(crate) async fn running_record(
    stage: &LambdaStage,
    functions: &[LiveFunction],
) -> Result<Option<DeployRecord>, Error> {
    if versions_of(functions).is_empty() {
        return Ok(None);
    }
    let records = deploy_record::deploy_records(&stage.database, MOST_RECORDS).await?;
    Ok(record_of(records, functions))
}

/// Returns the newest of these records that made the versions live which the aliases point to.
pub(crate) fn record_of(
    records: Vec<DeployRecord>,
    functions: &[LiveFunction],
) -> Option<DeployRecord> {
    let versions = versions_of(functions).to_text()?;
    let mut records = records.into_iter();
    records.find(|record| record.has_made(&versions))
}

/// More deploys than the aliases may have been moved by since.
pub(crate) const MOST_RECORDS: u32 = 200;
