//! `stagelink rollback`: takes a stage back to the deploy that was published before.

mod lambda;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use stagelink::{StageKind, one_line};
use stagelink_pipeline::{
    RollbackPlan, RollbackReport, RollbackRequest, RollbackSummary, StageAfterStop, abort_rollback,
};

use crate::abort::abort;
use crate::args::{Platform, RollbackOptions};
use crate::lambda::platform_of;
use crate::operator;
use crate::planned_change::{Begun, PlannedChange};
use crate::project;
use crate::promote::{database, short, shown};
use crate::site_access::site_access;
use crate::stage_name;
use crate::stoppable::Stoppable;
use crate::table::Table;

/// Goes back: tests the deploy, shows the plan, asks, and publishes it. A signal that asks the command to
/// end ends what it has started, too; the exit code is then 128 and its number.
///
/// # Errors
///
/// The error of the first step that fails. Nothing is changed before the plan was shown.
pub async fn run(options: RollbackOptions) -> anyhow::Result<ExitCode> {
    let command = Stoppable::new("rollback", options.json);
    command
        .run(async |begun| roll_back(&options, begun).await)
        .await
}

async fn roll_back(options: &RollbackOptions, begun: &Begun) -> anyhow::Result<()> {
    if platform_of(options.on, &options.local, &options.of_one_platform())? == Platform::Lambda {
        return lambda::roll_back(options, begun).await;
    }
    let request = request(options).await?;
    let stage = request.stage;
    let site = (request.access.clone(), request.site.clone());
    let database = request.database.clone();
    begun.set_stage(StageAfterStop::on_netlify(site, None, database));
    if options.abort {
        begun.begin();
        return abort(
            ("rollback of", stage),
            options.json,
            abort_rollback(&request),
        )
        .await;
    }
    let plan = shown(async |listener| RollbackPlan::make(&request, listener).await).await?;
    let summary = plan.summary();
    let change = PlannedChange {
        begun,
        is_plan: options.plan,
        json: options.json,
        is_confirmed: options.yes || options.local.local.is_some(),
    };
    if !change.show_plan(&summary, plan_text(summary))? {
        return Ok(());
    }
    change
        .confirm(
            &format!("Take {stage} back?"),
            "nothing was changed: add --yes to go back without a question, or --plan",
        )
        .await?;
    let report = shown(async |listener| plan.run(&request, listener).await).await?;
    change.show_result(
        &report,
        report_text(&report, &stage.to_string()),
        "the stage was taken back",
    )
}

/// Makes the request of a rollback from its options.
///
/// # Errors
///
/// When the options, the settings file or the stage do not allow one.
pub(crate) async fn request(options: &RollbackOptions) -> anyhow::Result<RollbackRequest> {
    let folder = &options.local.project;
    let file = project::settings_file(folder)?;
    let file = file.as_ref();
    let stage = stage_name::parse(&options.stage, file)?;
    if stage.kind() != StageKind::Production {
        bail!(
            "stage {stage} is not of kind production, and Netlify publishes an earlier deploy only in \
             the production context: check out the earlier commit, and deploy it by `stagelink deploy \
             {stage}`"
        );
    }
    let site = site_access(&options.local, options.site.as_deref(), file)?;
    let mut request = RollbackRequest::new(stage, site, database(stage, &options.local).await?);
    request.migrations = project::migrations(folder, file)?;
    request.to.clone_from(&options.to);
    request.test_limit = Duration::from_secs(options.test_limit);
    request.paths = file
        .map(|file| file.tested_paths().to_vec())
        .unwrap_or_default();
    request.by = operator::name();
    Ok(request)
}

/// Returns the plan as a table.
pub(crate) fn plan_text(plan: &RollbackSummary) -> String {
    let mut table = Table::with_header(["roll back", &plan.stage]);
    for (name, value) in [
        ("site", plan.site.as_str()),
        ("from deploy", &plan.published_deploy),
        ("to deploy", &plan.deploy),
        ("artifact", short(&plan.artifact)),
        ("commit", plan.commit.as_deref().map_or("not known", short)),
        (
            "live since",
            plan.deployed_at.as_deref().unwrap_or("not known"),
        ),
        (
            "publishing",
            match plan.is_locked {
                true => "locked, and stays so",
                false => "not locked: the next deploy of production replaces it",
            },
        ),
    ] {
        table.add_row([name, value]);
    }
    let mut text = table.to_string();
    for note in &plan.notes {
        text.push_str(&format!("\n  ! {}", one_line(note)));
    }
    text
}

fn report_text(report: &RollbackReport, stage: &str) -> String {
    format!(
        "{stage} runs artifact {} again: {}\n  deploy {}, before it {}\n  {} requests to Netlify, {} s\n  \
         the migrations are as they were",
        short(&report.artifact),
        report.live,
        report.deploy,
        report.previous,
        report.api_requests,
        report.seconds,
    )
}
