//! `--abort` on AWS Lambda.

use stagelink_pipeline::{AwsAccess, LambdaStage, abort_on_lambda};

use crate::operator;

/// Takes back what a command on a stage did that did not come to its end.
///
/// # Errors
///
/// Those of [`abort_on_lambda`].
pub(crate) async fn abort(
    access: &AwsAccess,
    stage: &LambdaStage,
    is_json: bool,
) -> anyhow::Result<()> {
    let by = operator::name();
    let clean_up = abort_on_lambda(access, stage, &by);
    crate::abort::abort(("change of", stage.stage), is_json, clean_up).await
}
