//! Takes back what a command on Lambda did that did not come to its end.

use std::sync::Arc;

use crate::aws::{AwsAccess, Lambda};
use crate::error::Error;
use crate::promotion::abort::{AbortReport, ensure_is_of};
use crate::promotion::deploy_record::DeployOutcome;
use crate::promotion::lambda::progress::LambdaProgress;
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lambda::take_back::Unfinished;
use crate::promotion::lease::{Lease, LeaseRow, Progress};
use crate::promotion::take_back::WhereGone;

/// Takes back what a command on Lambda did that did not come to its end, also from one that still runs: the
/// aliases point to the versions of before, and the lease is free. `command` is its name, `deploy`, `promote` or
/// `rollback`.
///
/// # Errors
///
/// [`ErrorKind::Promotion`](crate::ErrorKind::Promotion) where another command has the lease, or the
/// stage is being changed on another platform, or in another account or region; the errors of AWS and the database.
pub async fn abort_on_lambda(
    access: &AwsAccess,
    stage: &LambdaStage,
    command: &str,
    by: &str,
) -> Result<AbortReport, Error> {
    let Some(row) = Lease::look(&stage.database).await? else {
        return Ok(AbortReport { done: Vec::new() });
    };
    ensure_is_of(&row, command)?;
    if row.is_foreign {
        let done = vec![Lease::discard(&stage.database, by, &row).await?];
        return Ok(AbortReport { done });
    }
    let lambda = Lambda::connect(access).await?;
    let read = |row: &LeaseRow| {
        let progress = Progress(row.progress.clone());
        LambdaProgress::read(progress, &row.command, stage.stage, lambda.caller())
    };
    // One that this command cannot take back keeps its lease.
    read(&row)?;
    let (lease, row) = Lease::seize(&stage.database, by, &row).await?;
    lambda.set_fence(Arc::new(lease.handle().clone()));
    let Some(progress) = read(&row)? else {
        let mut done = vec!["it had changed nothing: the stage is free".to_owned()];
        done.extend(lease.release().await?.warning());
        return Ok(AbortReport { done });
    };
    let unfinished = Unfinished {
        lambda: &lambda,
        stage,
        lease,
        progress,
    };
    let done = unfinished.take_back(DeployOutcome::Aborted, WhereGone::Frees);
    let done = done.await?;
    Ok(AbortReport { done })
}
