//! Takes back what a command on Lambda did that did not come to its end.

use crate::aws::{AwsAccess, Lambda};
use crate::error::{Error, ErrorKind};
use crate::promotion::abort::AbortReport;
use crate::promotion::deploy_record::DeployOutcome;
use crate::promotion::lambda::progress::LambdaProgress;
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lambda::take_back::Unfinished;
use crate::promotion::lease::Lease;

/// Takes back what a deploy, a promotion or a rollback on Lambda did that did not come to its end, also
/// from one that still runs: the aliases point to the versions of before, and the lease is free.
///
/// # Errors
///
/// [`ErrorKind::Promotion`] where the stage is being changed on another platform; the errors of AWS and
/// the database.
pub async fn abort_on_lambda(
    access: &AwsAccess,
    stage: &LambdaStage,
    by: &str,
) -> Result<AbortReport, Error> {
    let Some((lease, row)) = Lease::seize(&stage.database, by).await? else {
        return Ok(AbortReport { done: Vec::new() });
    };
    if row.progress.is_null() {
        lease.release().await?;
        let done = vec!["it had changed nothing: the stage is free".to_owned()];
        return Ok(AbortReport { done });
    }
    let progress = crate::promotion::lease::Progress(row.progress);
    let Some(progress) = LambdaProgress::read(&progress) else {
        return Err(Error::new(
            ErrorKind::Promotion,
            format!(
                "the unfinished command on stage {} is not one on Lambda: add --on netlify",
                stage.stage
            ),
        ));
    };
    let lambda = Lambda::connect(access).await?;
    let unfinished = Unfinished {
        lambda: &lambda,
        stage,
        lease,
        progress,
    };
    let done = unfinished.take_back(DeployOutcome::Aborted).await?;
    Ok(AbortReport { done })
}
