//! `stagelink promote` on AWS Lambda.

use std::time::Duration;

use stagelink_pipeline::{LambdaPromotionPlan, LambdaPromotionRequest, StageAfterStop};

use super::checkout::git_checkout;
use super::progress::{look, shown};
use super::{ensure_artifact, ensure_change, stages};
use crate::args::PromoteOptions;
use crate::lambda;
use crate::operator;
use crate::planned_change::{Begun, PlannedChange};
use crate::project;

/// Promotes on Lambda: shows the plan, asks, and runs it.
///
/// # Errors
///
/// The error of the first step that fails. Nothing is changed before the plan was shown.
pub(super) async fn promote(options: &PromoteOptions, begun: &Begun) -> anyhow::Result<()> {
    let request = request(options).await?;
    let to = request.to.stage;
    let (access, target) = (request.access.clone(), request.to.clone());
    begun.set_stage(StageAfterStop::on_lambda(access, target));
    if options.abort {
        begun.begin();
        let (access, to) = (&request.access, &request.to);
        return lambda::abort(access, to, ("promote", "promotion to"), options.json).await;
    }
    let plan = look(LambdaPromotionPlan::make(&request), |plan| {
        &plan.summary().artifact
    })
    .await?;
    let summary = plan.summary();
    ensure_artifact(options, &summary.artifact)?;
    let change = PlannedChange {
        begun,
        is_plan: options.plan,
        json: options.json,
        is_confirmed: options.yes,
    };
    if !change.show_plan(&summary, lambda::plan(summary))? {
        return Ok(());
    }
    ensure_change(options, summary.is_promoted, to)?;
    change
        .confirm(
            &format!("Promote to {to}?"),
            "nothing was changed: add --yes to promote without a question, or --plan",
        )
        .await?;
    let report = shown(async |listener| plan.run(&request, listener).await).await?;
    change.show_result(&report, lambda::report(&report), "the promotion is done")
}

async fn request(options: &PromoteOptions) -> anyhow::Result<LambdaPromotionRequest> {
    let folder = &options.local.project;
    let file = project::settings_file(folder)?;
    let file = file.as_ref();
    let (from, to) = stages(options, file)?;
    let access = lambda::access(&options.local)?;
    let root = project::root(folder, file);
    let mut request = LambdaPromotionRequest::new(
        lambda::stage(from, file, &options.local).await?,
        lambda::stage(to, file, &options.local).await?,
        access,
        git_checkout(folder, file),
    );
    request.migrations = project::migrations(folder, file)?;
    request.migration_options.applied_by = operator::name();
    request.project = root;
    request.url = options.url.map(lambda::url_access);
    request.test_limit = Duration::from_secs(options.test_limit);
    request.by = operator::name();
    Ok(request)
}
