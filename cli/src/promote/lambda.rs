//! `stagelink promote` on AWS Lambda.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use stagelink_pipeline::{
    Checkout, LambdaPromotionPlan, LambdaPromotionRequest, MigrationFolder, SettingsFile,
};

use super::checkout::GitCheckout;
use super::ensure_artifact;
use super::progress::Shown;
use super::text::short;
use crate::args::PromoteOptions;
use crate::lambda;
use crate::migrate::confirm;
use crate::operator;
use crate::output::{print, print_beside, print_json};
use crate::progress::Step;
use crate::project;
use crate::stage_name;
use crate::usage_error::of_usage;

/// Promotes on Lambda: shows the plan, asks, and runs it.
///
/// # Errors
///
/// The error of the first step that fails. Nothing is changed before the plan was shown.
pub(super) async fn promote(options: &PromoteOptions) -> anyhow::Result<()> {
    let request = request(options).await?;
    let to = request.to.stage;
    if options.abort {
        return lambda::abort(&request.access, &request.to, options.json).await;
    }
    let step = Step::begin("look");
    let plan = LambdaPromotionPlan::make(&request).await?;
    let summary = plan.summary();
    step.done(&format!("artifact {}", short(&summary.artifact)));
    ensure_artifact(options, &summary.artifact)?;
    if options.plan {
        return match options.json {
            true => print_json(&summary),
            false => print(lambda::plan(summary)),
        };
    }
    match options.json {
        // Standard output has one line, at the end.
        true => print_beside(lambda::plan(summary))?,
        false => print(lambda::plan(summary))?,
    }
    if summary.is_promoted && !options.again {
        bail!(
            "stage {to} runs this artifact already: add --again to promote it once more, as after a \
             change of variables"
        );
    }
    confirm(
        options.yes,
        &format!("Promote to {to}?"),
        "nothing was changed: add --yes to promote without a question, or --plan",
    )?;
    let shown = Shown::default();
    let report = plan.run(&request, &|event| shown.show(event)).await;
    shown.end();
    let report = report?;
    let printed = match options.json {
        true => print_json(&report),
        false => print(lambda::report(&report)),
    };
    printed.context("the promotion is done, but the result could not be shown")
}

/// Returns the Git repository that a project is in.
pub(crate) fn git_checkout(folder: &Path, file: Option<&SettingsFile>) -> Box<dyn Checkout> {
    let root = project::root(folder, file);
    let migrations = project::migrations_folder(folder, file);
    let within = migrations.strip_prefix(&root);
    let within = within.unwrap_or(Path::new("migrations")).to_owned();
    Box::new(GitCheckout::new(root, within))
}

async fn request(options: &PromoteOptions) -> anyhow::Result<LambdaPromotionRequest> {
    let folder = &options.local.project;
    let file = project::settings_file(folder)?;
    let file = file.as_ref();
    let (from, to) = (
        stage_name::parse(&options.from, file)?,
        stage_name::parse(&options.to, file)?,
    );
    if from == to {
        return Err(of_usage(anyhow!(
            "--from and --to are both {from}: a promotion goes from one stage to another"
        )));
    }
    let access = lambda::access(&options.local)?;
    let root = project::root(folder, file);
    let mut request = LambdaPromotionRequest::new(
        lambda::stage(from, file, &options.local).await?,
        lambda::stage(to, file, &options.local).await?,
        access,
        git_checkout(folder, file),
    );
    let migrations = project::present_migrations_folder(folder, file);
    let migrations = migrations.map(|folder| MigrationFolder::read(&folder));
    request.migrations = migrations.transpose()?;
    request.migration_options.applied_by = operator::name();
    request.project = root;
    request.url = options.url.map(lambda::url_access);
    request.test_limit = Duration::from_secs(options.test_limit);
    request.by = operator::name();
    Ok(request)
}
