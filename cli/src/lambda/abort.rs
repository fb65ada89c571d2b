//! `--abort` on AWS Lambda.

use stagelink_pipeline::{AwsAccess, LambdaStage, abort_on_lambda};

use crate::operator;
use crate::output::{print, print_json};
use crate::progress::Step;

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
    let step = Step::begin("abort");
    let report = abort_on_lambda(access, stage, &operator::name()).await?;
    step.done(&format!("stage {}", stage.stage));
    match (is_json, report.done.is_empty()) {
        (true, _) => print_json(&report),
        (false, true) => print(format_args!("no change of {} is unfinished", stage.stage)),
        (false, false) => print(report.done.join("\n")),
    }
}
