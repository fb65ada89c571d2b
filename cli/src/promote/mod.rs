//! `stagelink promote`: what one stage runs goes live in another one.

mod checkout;
mod lambda;
mod progress;
mod text;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use stagelink::{Database, Settings, Stage};
use stagelink_pipeline::{
    DeployContext, MigrationOptions, PromotionPlan, PromotionRequest, SettingsFile, StageAfterStop,
    abort_promotion,
};

pub(crate) use self::progress::{look, shown};
pub(crate) use self::text::{plan as plan_text, short};

pub(crate) use self::checkout::git_checkout;
use crate::abort::abort;
use crate::args::{LocalOptions, Platform, PromoteOptions};
use crate::lambda::platform_of;
use crate::operator;
use crate::planned_change::{Begun, PlannedChange};
use crate::project;
use crate::site_access::site_access;
use crate::stage_context::context_of;
use crate::stage_database::settings_of;
use crate::stage_name;
use crate::stoppable::Stoppable;
use crate::usage_error::of_usage;

/// Promotes: shows the plan, asks, and runs it. A signal that asks the command to end ends what it has
/// started, too; the exit code is then 128 and its number.
///
/// # Errors
///
/// The error of the first step that fails. Nothing is changed before the plan was shown.
pub async fn run(options: PromoteOptions) -> anyhow::Result<ExitCode> {
    let command = Stoppable::new("promotion", options.json);
    command
        .run(async |begun| promote(&options, begun).await)
        .await
}

async fn promote(options: &PromoteOptions, begun: &Begun) -> anyhow::Result<()> {
    if platform_of(options.on, &options.local, &options.of_one_platform())? == Platform::Lambda {
        return lambda::promote(options, begun).await;
    }
    let request = request(options).await?;
    let to = request.to;
    let site = (request.access.clone(), request.site.clone());
    let database = request.database.clone();
    begun.set_stage(StageAfterStop::on_netlify(site, None, database));
    if options.abort {
        begun.begin();
        return abort(
            ("promotion to", to),
            options.json,
            abort_promotion(&request),
        )
        .await;
    }
    let plan = look(PromotionPlan::make(&request), |plan| {
        &plan.summary().artifact
    })
    .await?;
    let summary = plan.summary();
    ensure_artifact(options, &summary.artifact)?;
    let change = PlannedChange {
        begun,
        is_plan: options.plan,
        json: options.json,
        is_confirmed: options.yes || options.local.local.is_some(),
    };
    if !change.show_plan(&summary, text::plan(summary))? {
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
    change.show_result(
        &report,
        text::report(&report, &to.to_string()),
        "the promotion is done",
    )
}

/// Makes sure that the source runs the artifact that the options name, where they name one.
fn ensure_artifact(options: &PromoteOptions, artifact: &str) -> anyhow::Result<()> {
    match &options.artifact {
        Some(expected) if expected != artifact => bail!(
            "stage {} runs artifact {} by now, and not {}: look at the plan again",
            options.from,
            short(artifact),
            short(expected)
        ),
        _ => Ok(()),
    }
}

/// Makes sure that the target does not run the artifact yet, or that this is wanted.
fn ensure_change(options: &PromoteOptions, is_promoted: bool, to: Stage) -> anyhow::Result<()> {
    if is_promoted && !options.again {
        bail!(
            "stage {to} runs this artifact already: add --again to promote it once more, as after a \
             change of variables"
        );
    }
    Ok(())
}

/// Returns the stage that a promotion comes from, and the one that it goes to.
fn stages(options: &PromoteOptions, file: Option<&SettingsFile>) -> anyhow::Result<(Stage, Stage)> {
    let from = stage_name::parse(&options.from, file)?;
    let to = stage_name::parse(&options.to, file)?;
    if from == to {
        return Err(of_usage(anyhow!(
            "--from and --to are both {from}: a promotion goes from one stage to another"
        )));
    }
    Ok((from, to))
}

/// Makes the request of a promotion from its options.
///
/// # Errors
///
/// When the options, the settings file or the stages do not allow one.
pub(crate) async fn request(options: &PromoteOptions) -> anyhow::Result<PromotionRequest> {
    let folder = &options.local.project;
    let file = project::settings_file(folder)?;
    let file = file.as_ref();
    let (from, to) = stages(options, file)?;
    let from_branch = match context_of(from, file).map_err(|reason| anyhow!("{from}: {reason}"))? {
        DeployContext::Branch(branch) => branch,
        other => bail!("stage {from} has the deploys of Netlify's context {other}, and no branch"),
    };
    let context = context_of(to, file).map_err(|reason| anyhow!("{to}: {reason}"))?;
    if context != DeployContext::Production {
        bail!(
            "stage {to} has the deploys of Netlify's context {context}: a promotion on Netlify goes to \
             the production context, the only one whose deploys can be kept from going live; deploy to {to} by \
             `stagelink deploy {to}`"
        );
    }
    let site = site_access(&options.local, options.site.as_deref(), file)?;
    let root = project::root(folder, file);
    let mut migration_options = MigrationOptions::default();
    migration_options.applied_by = operator::name();
    let mut request = PromotionRequest::new(
        (from, from_branch),
        to,
        site,
        database(to, &options.local).await?,
        git_checkout(folder, file),
    );
    request.migrations = project::migrations(folder, file)?;
    request.migration_options = migration_options;
    request.project = root;
    request.test_limit = Duration::from_secs(options.test_limit);
    if let Some(seconds) = options.ready_limit {
        request.ready_limit = Duration::from_secs(seconds);
    }
    request.paths = file
        .map(|file| file.tested_paths().to_vec())
        .unwrap_or_default();
    request.by = operator::name();
    Ok(request)
}

/// Returns the stage's database itself, without a pooler: a lease needs a session of its own.
pub(crate) async fn database(stage: Stage, local: &LocalOptions) -> anyhow::Result<Database> {
    let settings = settings_of(&[], Some(&stage.to_string()), local).await?;
    let settings = settings.map(Settings::with_app_names);
    Ok(Database::new(settings.map(Settings::without_pooler)))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn artifact_that_is_named_is_the_only_one_that_is_promoted() {
        let digest = |digit: &str| digit.repeat(64);
        let options = |digest: &str| {
            PromoteOptions::try_parse_from(["promote", "--artifact", digest, "--yes"])
        };
        let named = options(&digest("a")).unwrap();
        ensure_artifact(&named, &digest("a")).unwrap();
        let error = ensure_artifact(&named, &digest("b")).unwrap_err();
        let text = "stage staging runs artifact bbbbbbbbbbbb by now, and not aaaaaaaaaaaa";
        assert!(error.to_string().starts_with(text), "{error}");
        for wrong in ["", "null", "aaaa", &digest("A")] {
            assert!(options(wrong).is_err(), "{wrong}");
        }
        let any = PromoteOptions::try_parse_from(["promote"]).unwrap();
        ensure_artifact(&any, &digest("b")).unwrap();
    }
}
