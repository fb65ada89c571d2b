//! `stagelink rollback` on AWS Lambda.

use std::time::Duration;

use stagelink_pipeline::{LambdaRollbackPlan, LambdaRollbackRequest, StageAfterStop};

use crate::args::RollbackOptions;
use crate::lambda;
use crate::operator;
use crate::planned_change::{Begun, PlannedChange};
use crate::project;
use crate::promote::{look, shown};
use crate::stage_name;

/// Goes back on Lambda: shows the plan, asks, tests the versions, and moves the aliases.
///
/// # Errors
///
/// The error of the first step that fails. Nothing is changed before the plan was shown.
pub(super) async fn roll_back(options: &RollbackOptions, begun: &Begun) -> anyhow::Result<()> {
    let request = request(options).await?;
    let stage = request.stage.stage;
    let (access, of_lambda) = (request.access.clone(), request.stage.clone());
    begun.set_stage(StageAfterStop::on_lambda(access, of_lambda));
    if options.abort {
        begun.begin();
        let (access, stage) = (&request.access, &request.stage);
        return lambda::abort(access, stage, ("rollback", "rollback of"), options.json).await;
    }
    let plan = look(LambdaRollbackPlan::make(&request), |plan| {
        &plan.summary().artifact
    })
    .await?;
    let summary = plan.summary();
    let change = PlannedChange {
        begun,
        is_plan: options.plan,
        json: options.json,
        is_confirmed: options.yes,
    };
    if !change.show_plan(&summary, lambda::rollback_plan(summary))? {
        return Ok(());
    }
    change
        .confirm(
            &format!("Take {stage} back?"),
            "nothing was changed: add --yes to go back without a question, or --plan",
        )
        .await?;
    let report = shown(async |listener| plan.run(&request, listener).await).await?;
    change.show_result(&report, lambda::report(&report), "the stage was taken back")
}

async fn request(options: &RollbackOptions) -> anyhow::Result<LambdaRollbackRequest> {
    let folder = &options.local.project;
    let file = project::settings_file(folder)?;
    let file = file.as_ref();
    let stage = stage_name::parse(&options.stage, file)?;
    let access = lambda::access(&options.local)?;
    let stage = lambda::stage(stage, file, &options.local).await?;
    let mut request = LambdaRollbackRequest::new(stage, access);
    request.migrations = project::migrations(folder, file)?;
    request.to.clone_from(&options.to);
    request.test_limit = Duration::from_secs(options.test_limit);
    request.by = operator::name();
    Ok(request)
}
