//! `stagelink deploy` to AWS Lambda.

use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use stagelink::StageKind;
use stagelink_pipeline::{
    LambdaDeployPlan, LambdaDeployRequest, LambdaVariables, SettingsFile, StageAfterStop,
    look_at_lambda_stage,
};

use super::commit::Commit;
use crate::args::DeployOptions;
use crate::build::{self, Arch};
use crate::lambda;
use crate::migrate::overrides;
use crate::operator;
use crate::output::note;
use crate::planned_change::{Begun, PlannedChange};
use crate::progress::Step;
use crate::project;
use crate::promote::{git_checkout, look, shown};
use crate::stage_name;
use crate::usage_error::of_usage;

/// Builds a project and deploys it to a stage on Lambda: shows the plan, asks, and runs it.
///
/// # Errors
///
/// The error of the first step that fails. Nothing is changed before the plan was shown.
pub(super) async fn deploy(
    options: &DeployOptions,
    begun: &Begun,
    project: &Path,
) -> anyhow::Result<()> {
    let file = project::settings_file(project)?;
    if options.abort {
        begun.begin();
        let stage = stage_name::parse(&options.stage, file.as_ref()).map_err(of_usage)?;
        let access = lambda::access(&options.local)?;
        let stage = lambda::stage(stage, file.as_ref(), &options.local).await?;
        begun.set_stage(StageAfterStop::on_lambda(access.clone(), stage.clone()));
        return lambda::abort(&access, &stage, ("deploy", "deploy to"), options.json).await;
    }
    let request = request(options, project, file.as_ref(), begun).await?;
    let stage = request.stage.stage;
    let plan = look(LambdaDeployPlan::make(&request), |plan| {
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
    if !change.show_plan(&summary, lambda::plan(summary))? {
        return Ok(());
    }
    change
        .confirm(
            &format!("Deploy this to stage {stage}?"),
            "nothing was deployed: add --yes to deploy it without a question, or --plan",
        )
        .await?;
    let report = shown(async |listener| plan.run(&request, listener).await).await?;
    change.show_result(&report, lambda::report(&report), "the project was deployed")
}

async fn request(
    options: &DeployOptions,
    project: &Path,
    file: Option<&SettingsFile>,
    begun: &Begun,
) -> anyhow::Result<LambdaDeployRequest> {
    let stage = stage_name::parse(&options.stage, file).map_err(of_usage)?;
    let access = lambda::access(&options.local)?;
    let of_lambda = &options.lambda;
    let variables = of_lambda.env_file.as_deref().map(LambdaVariables::read);
    let variables = variables.transpose()?;
    let arch = of_lambda.arch.unwrap_or(Arch::Arm64);
    let commit = Commit::of(project).await;
    if stage.kind() == StageKind::Production && commit.is_dirty == Some(true) && !options.dirty {
        return Err(anyhow!(
            "the project has changes that are in no commit: commit them, or add --dirty to deploy them to \
             {stage}"
        ));
    }
    let functions = lambda::stage(stage, file, &options.local).await?;
    begun.set_stage(StageAfterStop::on_lambda(access.clone(), functions.clone()));
    if !options.no_build {
        // Before the build, which takes minutes.
        let step = Step::begin("look");
        look_at_lambda_stage(&functions, &access).await?;
        step.done("the functions and the database");
        build::build_for_lambda(project, arch).await?;
    }
    let checkout = git_checkout(project, file);
    let mut request = LambdaDeployRequest::new(functions, access, checkout);
    request.project = project.to_owned();
    request.architecture = arch.as_str().to_owned();
    request.commit = commit.name;
    request.is_dirty = commit.is_dirty.unwrap_or(false);
    request.migrations = project::migrations(project, file)?;
    request.migration_options.overrides = overrides(&options.overridden, &options.reasons)?;
    request.migration_options.applied_by = operator::name();
    request.settings.role.clone_from(&of_lambda.role);
    request.settings.memory_mb = of_lambda.memory;
    request.settings.timeout_seconds = of_lambda.timeout;
    request.settings.variables = variables;
    request.url = of_lambda.url.map(lambda::url_access);
    request.test_limit = Duration::from_secs(options.test_limit);
    request.despite_untested = of_lambda.despite_untested;
    request.by = operator::name();
    if stage.kind() == StageKind::Production {
        for other in file.iter().flat_map(|file| file.stages().keys()) {
            if matches!(other.kind(), StageKind::Production | StageKind::Review) {
                continue;
            }
            match lambda::database(*other, &options.local).await {
                Ok(database) => request.tested_in.push((*other, database)),
                Err(error) => note(format_args!(
                    "note: whether {other} has the artifact is not known: {error:#}"
                )),
            }
        }
    }
    Ok(request)
}
