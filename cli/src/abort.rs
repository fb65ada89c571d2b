//! The option `--abort`: takes back what a command did that did not come to its end.

use stagelink::Stage;
use stagelink_pipeline::{AbortReport, Error};

use crate::output::{print, print_json};
use crate::progress::Step;

/// Waits for the clean-up after a command, and prints what it did. `what` is the command, as in `promotion to
/// production`.
///
/// # Errors
///
/// Those of the clean-up.
pub(crate) async fn abort(
    (what, stage): (&str, Stage),
    is_json: bool,
    clean_up: impl Future<Output = Result<AbortReport, Error>>,
) -> anyhow::Result<()> {
    let step = Step::begin("abort");
    let report = clean_up.await?;
    step.done(&format!("stage {stage}"));
    match (is_json, report.done.is_empty()) {
        (true, _) => print_json(&report),
        (false, true) => print(format_args!("no {what} {stage} is unfinished")),
        (false, false) => print(report.done.join("\n")),
    }
}
