//! `stagelink migrate`: applies the project's migrations to a stage's database.

mod code;
pub mod drift;
mod history;
mod new;
mod progress;
mod report;
mod widen;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use stagelink::{Database, DatabaseInfo, Settings};
use stagelink_pipeline::{
    DeployPhase, Disagreement, Enforcement, MigrationEvent, MigrationFolder, MigrationOptions,
    MigrationPlan, RuleOverride, ensure_own_stage,
};

use self::progress::RunProgress;
use self::report::Report;
use crate::args::{AllowedDisagreement, LocalOptions, MigrateCommand, MigrateOptions};
use crate::failure::print_failure;
use crate::migration_rules::enforcement;
use crate::operator;
use crate::output::{note, print, print_beside, print_json, print_wrapped, terminal_width};
use crate::planned_change::{Begun, confirm};
use crate::progress::Step;
use crate::project;
use crate::stage_database::settings_of;
use crate::stoppable::Stoppable;
use crate::usage_error::of_usage;

/// Applies a project's migrations to a stage's database: shows the plan, asks, and applies it. A signal that
/// asks the command to end ends its session; the exit code is then 128 and the signal's number.
///
/// # Errors
///
/// The error of the first step that fails. Nothing is applied before the plan was shown.
pub async fn run(options: MigrateOptions) -> anyhow::Result<ExitCode> {
    match &options.command {
        Some(MigrateCommand::New(options)) => new::run(options)?,
        Some(MigrateCommand::WidenHistory(options)) => widen::run(options).await?,
        Some(MigrateCommand::Drift(options)) => return drift::run(options).await,
        None => return run_stoppable(&options).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_stoppable(options: &MigrateOptions) -> anyhow::Result<ExitCode> {
    let command = Stoppable {
        name: "run of migrations",
        way_on: "the files that it has applied stay, the server ends a statement that ran within seconds, and \
                 the same command goes on",
        // Its JSON has the progress, too.
        is_json: false,
    };
    command
        .run(async |begun| {
            let mut progress = RunProgress::default();
            let result = migrate(options, &mut progress, begun).await;
            if let Err(error) = &result
                && options.json
            {
                print_failure(&report::error_with_progress(error, progress));
            }
            result
        })
        .await
}

/// Applies the migrations, and keeps in `progress` what an error is shown with.
async fn migrate(
    options: &MigrateOptions,
    progress: &mut RunProgress,
    begun: &Begun,
) -> anyhow::Result<()> {
    let folder = folder(&options.local.project, options.migrations.as_deref())?;
    let folder = MigrationFolder::read(&folder)?;
    let mut limits = limits(options)?;
    let (database, found) = match connect(options).await {
        Ok(connected) => connected,
        Err(error) => {
            // The next attempt does not have to find these out.
            for problem in folder.unusable_files() {
                note(format_args!(
                    "note: unless it is applied already: {problem}"
                ));
            }
            return Err(error);
        }
    };
    let phase = match options.after {
        true => DeployPhase::After,
        false => DeployPhase::Before,
    };
    limits.enforcement = enforcement(&options.local, &database, phase).await?;
    limits.running_code = code::running_on(&database, &folder, options).await?;
    let step = Step::begin("plan");
    let plan = MigrationPlan::make(&database, &folder, &limits).await?;
    let mut report = Report::new(&found, &plan);
    step.done(&report.counts());
    progress.pending = Some(report.pending_as_json()?);
    let takes_each_class =
        limits.enforcement == Enforcement::Nothing || plan.is_of_empty_database();
    for unused in plan.unused_overrides() {
        let elsewhere = match takes_each_class {
            true => {
                " here, where files of each class are applied; a deployed stage refuses one that no file needs \
                 there"
            }
            false => "",
        };
        note(format_args!(
            "note: no pending file needs --override {unused}{elsewhere}"
        ));
    }
    if limits.running_code.is_none() && options.after && options.local.local.is_none() {
        code::note_unknown(&plan);
    }
    if options.plan {
        // The plan is the result, also where a run would refuse it.
        return match options.json {
            true => print_json(&report),
            false => print(report.text(true, terminal_width())),
        };
    }
    if plan.pending().len() > 0 {
        match options.json {
            // Standard output has one line, at the end.
            true => print_beside(report.text_before_run(None))?,
            false => print(report.text_before_run(terminal_width()))?,
        }
    }
    plan.ensure_admitted()?;
    if plan.applying().next().is_some() {
        confirm(
            options.yes || options.local.local.is_some(),
            &question(&plan),
            "nothing was applied: add --yes to apply it without a question, or --plan",
        )
        .await?;
        begun.begin();
        // A deploy may have come between the plan and the answer.
        limits.running_code = code::running_on(&database, &folder, options).await?;
        let step = Step::begin_long("migrations");
        let (show, done) = (listener(&step), progress.begin());
        let listener = |event: &MigrationEvent<'_>| {
            done.record(event);
            show(event);
        };
        let applied = plan.apply(&database, &limits, &listener).await?;
        step.done(&format!("{} applied", applied.applied.len()));
        report.record(&applied);
        if let Some(reason) = &applied.schema_not_kept {
            note(format_args!(
                "note: the schema was not kept for `stagelink migrate drift`: {reason}"
            ));
        }
    }
    plan.ensure_none_is_held_back()?;
    let printed = match options.json {
        true => print_json(&report),
        false => print_wrapped(report.summary()),
    };
    match progress.has_applied() {
        true => printed.context("the migrations were applied, but the result could not be shown"),
        false => printed,
    }
}

/// Finds the stage's database, and makes sure that it is that stage's.
async fn connect(options: &MigrateOptions) -> anyhow::Result<(Database, DatabaseInfo)> {
    let database = database("migrate", options.stage.name(), &options.local).await?;
    let step = Step::begin("database");
    let found = database
        .inspect()
        .await
        .context("could not connect to the database that is to be migrated")?;
    ensure_own_stage(&found)?;
    step.done(&format!(
        "{} at {}, stage {}",
        found.database, found.server, found.stage
    ));
    Ok((database, found))
}

/// Applies the migrations of a folder to a stage's database, without a question. Returns their
/// names, as `V<number>__<name>`. Files of each class are applied: it is for tests, which have no code
/// that a change could break.
///
/// # Errors
///
/// Those of the pipeline's plan and its run.
pub async fn apply(database: &Database, folder: &Path) -> anyhow::Result<Vec<String>> {
    let (folder, nothing) = (MigrationFolder::read(folder)?, Enforcement::Nothing);
    let applied = apply_folder(database, &folder, nothing, |_| ()).await?;
    Ok(applied.applied)
}

/// A line of a run on a local stage.
pub(crate) enum Told {
    /// It waits for another session.
    Wait(String),
    /// A file is applied, and a deployed stage would not apply it ahead of a deploy, for these reasons.
    DecisionOfDeployedStage(String),
}

/// The result of a run on a local stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocalRun {
    /// The names of the files that were applied, as `V<number>__<name>`.
    pub(crate) applied: Vec<String>,
    /// The names of those that wait for a run after the deploy.
    pub(crate) waiting: Vec<String>,
}

/// Applies migrations without a question, and tells what a person who looks on would want to know.
///
/// # Errors
///
/// Those of the pipeline's plan and its run; one when a file is held back by one that waits.
pub(crate) async fn apply_folder(
    database: &Database,
    folder: &MigrationFolder,
    enforcement: Enforcement,
    tell: impl Fn(Told) + Send + Sync,
) -> anyhow::Result<LocalRun> {
    let mut options = MigrationOptions::default();
    // `stagelink dev` applies them, and tests do.
    options.is_local = true;
    options.enforcement = enforcement;
    options.applied_by = operator::name();
    let plan = MigrationPlan::make(database, folder, &options).await?;
    let listener = |event: &MigrationEvent<'_>| {
        if event.is_a_wait() {
            tell(Told::Wait(event.to_string()));
        }
    };
    let report = plan.apply(database, &options, &listener).await?;
    for migration in plan.pending() {
        if let Some(decision) = report::decision_of_deployed_stage(&migration) {
            tell(Told::DecisionOfDeployedStage(decision));
        }
    }
    let applied = report.applied.iter().map(|(file, _)| file.to_string());
    Ok(LocalRun {
        applied: applied.collect(),
        waiting: report.waiting.iter().map(ToString::to_string).collect(),
    })
}

/// Returns the folder of migrations: of the project, unless one is named.
fn folder(project: &Path, named: Option<&Path>) -> anyhow::Result<PathBuf> {
    match named {
        Some(folder) => Ok(folder.to_owned()),
        None => {
            let file = project::settings_file(project)?;
            Ok(project::migrations_folder(project, file.as_ref()))
        }
    }
}

/// Returns the stage's database itself, without a pooler: a migration needs a session of its own.
/// `command` is the one that needs it.
async fn database(
    command: &str,
    stage: Option<&str>,
    local: &LocalOptions,
) -> anyhow::Result<Database> {
    let is_local = local.local.is_some();
    if stage.is_none() && !is_local && std::env::var_os("STAGELINK_STAGE").is_none() {
        return Err(of_usage(anyhow!(
            "no stage is named: `stagelink {command} staging`, or set STAGELINK_STAGE"
        )));
    }
    let settings = settings_of(&[], stage, local).await?;
    let settings = settings.map(Settings::with_app_names);
    Ok(Database::new(settings.map(Settings::without_pooler)))
}

/// Returns the limits and rules of a run, but for those that depend on the database.
fn limits(options: &MigrateOptions) -> anyhow::Result<MigrationOptions> {
    let mut limits = MigrationOptions::default();
    limits.wait = Duration::from_secs(options.wait);
    limits.time_limit = Duration::from_secs(options.time_limit);
    limits.overrides = overrides(&options.overridden, &options.reasons)?;
    limits.applied_by = operator::name();
    limits.is_local = options.local.local.is_some();
    limits.allowed = options
        .allowed
        .iter()
        .map(|allowed| match allowed {
            AllowedDisagreement::Edited => Disagreement::Edited,
            AllowedDisagreement::Missing => Disagreement::Missing,
            AllowedDisagreement::Older => Disagreement::Older,
        })
        .collect();
    Ok(limits)
}

/// Returns the overrides of a run, by the options that name them and their reasons.
///
/// # Errors
///
/// One without a reason, or of another form.
pub(crate) fn overrides(
    overridden: &[String],
    reasons: &[String],
) -> anyhow::Result<Vec<RuleOverride>> {
    if overridden.len() != reasons.len() {
        return Err(of_usage(anyhow!(
            "each --override needs a --reason: `--override RULE@V5 --reason TEXT`"
        )));
    }
    let overrides = overridden.iter().zip(reasons);
    let overrides: Result<Vec<_>, _> = overrides
        .map(|(rule, reason)| RuleOverride::new(rule, reason))
        .collect();
    overrides.map_err(of_usage)
}

/// Returns a plan of migrations as text; with the SQL of each file if it `is_result`.
pub(crate) fn plan_text(found: &DatabaseInfo, plan: &MigrationPlan, is_result: bool) -> String {
    Report::new(found, plan).text(is_result, None)
}

fn question(plan: &MigrationPlan) -> String {
    let count = plan.applying().count();
    let these = match count {
        1 => "this migration".to_owned(),
        count => format!("these {count} migrations"),
    };
    let stage = plan.stage();
    format!("Apply {these} to the database of stage {stage}?")
}

/// Shows an event of migrations within a step.
pub(crate) fn show(step: &Step, event: &MigrationEvent<'_>) {
    listener(step)(event);
}

/// Returns a listener that shows the current activity, and prints a line for what lasts.
fn listener(step: &Step) -> impl Fn(&MigrationEvent<'_>) + Send + Sync + 'static {
    let (tell, print_line) = (step.teller(), step.line_printer());
    move |event| match event {
        MigrationEvent::Begins { .. } | MigrationEvent::Progress { .. } => tell(&event.to_string()),
        _ => {
            tell(&event.to_string());
            print_line(&event.to_string());
        }
    }
}
