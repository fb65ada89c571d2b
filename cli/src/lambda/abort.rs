//! `--abort` on AWS Lambda.

use stagelink_pipeline::{AwsAccess, LambdaStage, abort_on_lambda};

use crate::operator;

/// Takes back what a command on a stage did that did not come to its end. `command` is its name, and `what` it is
/// called before the stage's name, as in `promotion to`.
///
/// # Errors
///
/// Those of [`abort_on_lambda`].
pub(crate) async fn abort(
    access: &AwsAccess,
    stage: &LambdaStage,
    (command, what): (&str, &str),
    is_json: bool,
) -> anyhow::Result<()> {
    let by = operator::name();
    let clean_up = abort_on_lambda(access, stage, command, &by);
    crate::abort::abort((what, stage.stage), is_json, clean_up).await
}
