//! `stagelink needs`: shows the migrations that artifacts need, and whether a stage's database can
//! run them.

mod artifact_file;
pub(crate) mod function_artifacts;
mod report;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use stagelink_pipeline::{MigrationFolder, RecordedMigration, ensure_own_stage};

use self::function_artifacts::FunctionArtifacts;
use self::report::{Report, StageHistory};
use crate::args::NeedsOptions;
use crate::failure::Failure;
use crate::output::{note, print, print_json};
use crate::progress::Step;
use crate::project::{self, migrations_folder};
use crate::stage_database::{advised, database_of};

/// Shows the migrations that artifacts were built with; with a stage, whether its database can run
/// them. The exit code is 1 if it cannot as it is, or that is unknown.
///
/// # Errors
///
/// When an artifact cannot be read, or the stage's database cannot be looked at.
pub async fn run(options: NeedsOptions) -> anyhow::Result<ExitCode> {
    let reported = report(&options).await;
    match reported {
        Ok(None) => Ok(ExitCode::SUCCESS),
        Ok(Some(refusal)) => {
            note(refusal);
            Ok(ExitCode::FAILURE)
        }
        Err(error) => {
            if options.json {
                print_json(&Failure::new(&error))?;
            }
            Err(error)
        }
    }
}

/// Prints the report. Returns the reason for which the database cannot run the artifacts.
async fn report(options: &NeedsOptions) -> anyhow::Result<Option<String>> {
    let project = &options.local.project;
    let artifacts = artifact_file::find(&options.artifacts, project)?;
    let artifacts = FunctionArtifacts::group(artifacts);
    let stage = match options.stage.as_deref() {
        Some(stage) => Some(stage_history(stage, options).await?),
        None if options.local.local.is_some() => {
            bail!("no stage is named: add --stage to --local")
        }
        None => None,
    };
    let report = Report::new(&artifacts, stage.as_ref());
    match options.json {
        true => print_json(&report)?,
        false => print(report.text())?,
    }
    Ok(report.refusal())
}

async fn stage_history(stage: &str, options: &NeedsOptions) -> anyhow::Result<StageHistory> {
    let local = &options.local;
    let database = database_of(&[], Some(stage), local).await?;
    let step = Step::begin("database");
    let found = advised(database.inspect().await, Some(stage))
        .context("could not connect to the database whose migrations are compared")?;
    ensure_own_stage(&found)?;
    // Only the class of migrations that the database does not record depends on it.
    let settings = project::settings_file(&local.project)?;
    let folder = migrations_folder(&local.project, settings.as_ref());
    let folder = MigrationFolder::read(&folder).ok();
    let history = RecordedMigration::read_all(&database, folder.as_ref()).await?;
    step.done(&format!(
        "{} at {}, stage {}",
        found.database, found.server, found.stage
    ));
    Ok(StageHistory { found, history })
}
