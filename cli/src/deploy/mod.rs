//! `stagelink deploy`: builds the project, and deploys it to a stage on Netlify or AWS Lambda.

mod commit;
mod lambda;
mod programs;
mod report;
mod request;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use stagelink_pipeline::{
    DeployContext, DeployProgress, DeployRequest, DeployTarget, StageAfterStop, abort_deploy,
};

use self::commit::Commit;
use crate::abort::abort;
use crate::args::{DeployOptions, Platform};
use crate::build;
use crate::lambda::platform_of;
use crate::migrate;
use crate::output::note;
use crate::planned_change::{Begun, PlannedChange};
use crate::progress::Step;
use crate::project;
use crate::stoppable::Stoppable;

/// Builds a project and deploys it to a stage: shows the plan, asks, applies the migrations that come
/// first, and makes the deploy. A signal that asks the command to end ends what it has started, too; the
/// exit code is then 128 and its number.
///
/// # Errors
///
/// The error of the first step that fails. Nothing is changed before the plan was shown.
pub async fn run(options: DeployOptions) -> anyhow::Result<ExitCode> {
    let command = Stoppable::new("deploy", options.json);
    command
        .run(async |begun| deploy(&options, begun).await)
        .await
}

async fn deploy(options: &DeployOptions, begun: &Begun) -> anyhow::Result<()> {
    let project = open(&options.local.project)?;
    if platform_of(options.on, &options.local, &options.of_one_platform())? == Platform::Lambda {
        return lambda::deploy(options, begun, &project).await;
    }
    let commit = Commit::of(&project).await;
    let request = request::from_options(options, &project, commit).await?;
    begun.set_stage(after_stop(&request));
    if options.abort {
        begun.begin();
        let what = ("deploy to", request.stage);
        return abort(what, options.json, abort_deploy(&request)).await;
    }
    // Before the build, which takes minutes.
    let step = Step::begin("look");
    let target = DeployTarget::find(request).await?;
    step.done("the site and the database");
    if !options.no_build {
        if options.local.local.is_some() && !project.join("dist").exists() {
            note(FIRST_LOCAL_BUILD);
        }
        build::build_for_netlify(&project).await?;
    }
    programs::ensure_complete(&project).await?;
    let step = Step::begin("plan");
    let plan = target.plan().await?;
    let summary = plan.summary();
    step.done(&report::headline(&summary));
    let text = report::plan(&plan, options.plan);
    let change = PlannedChange {
        begun,
        is_plan: options.plan,
        json: options.json,
        is_confirmed: options.yes || options.local.local.is_some(),
    };
    if !change.show_plan(&report::json(&plan, None), text)? {
        return Ok(());
    }
    plan.ensure_admitted()?;
    change
        .confirm(
            &format!("Deploy this to stage {}?", summary.stage),
            "nothing was deployed: add --yes to deploy it without a question, or --plan",
        )
        .await?;
    let deployed = plan.run(&listener()).await?;
    change.show_result(
        &report::json(&plan, Some(&deployed)),
        report::result(&plan, &deployed),
        "the project was deployed",
    )
}

/// `stagelink dev` has built the same functions, and its build is of no use here.
const FIRST_LOCAL_BUILD: &str = "  ! the functions are built anew, for release, as they are for Netlify: the first such build takes \
     minutes, apart from those of `stagelink dev`";

/// Returns the stage of a deploy, to be looked at where it is stopped.
fn after_stop(request: &DeployRequest) -> StageAfterStop {
    let site = (request.access.clone(), request.site.clone());
    let branch = match &request.context {
        DeployContext::Branch(branch) => Some(branch.clone()),
        _ => None,
    };
    StageAfterStop::on_netlify(site, branch, request.database.clone())
}

/// Returns the folder of the project that a folder is in.
fn open(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("could not open the project folder {}", folder.display()))?;
    project::open(project::containing(&folder))
}

/// Returns a listener that shows each part of the deploy as a step.
fn listener() -> impl Fn(&DeployProgress<'_>) + Send + Sync {
    let step: Mutex<Option<Step>> = Mutex::default();
    move |event| {
        let mut step = step.lock().unwrap_or_else(PoisonError::into_inner);
        match (event, &*step) {
            (DeployProgress::Begins(title), _) => *step = Some(Step::begin(title)),
            (DeployProgress::Ends(result), Some(_)) => {
                if let Some(step) = step.take() {
                    step.done(result);
                }
            }
            (DeployProgress::Tells(text), Some(step)) => step.teller()(text),
            (DeployProgress::Migration(event), Some(step)) => migrate::show(step, event),
            (DeployProgress::Netlify(event), Some(step)) => step.teller()(&event.to_string()),
            (DeployProgress::Note(text), _) => note(format_args!("note: {text}")),
            _ => {}
        }
    }
}
