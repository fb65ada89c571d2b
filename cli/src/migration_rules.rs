//! The rules by which migrations are applied to a stage, which are weaker on a local one.

use stagelink::Database;
use stagelink_pipeline::{
    CodeWindows, DEFAULT_ROLLBACK_WINDOW, DeployPhase, Enforcement, Error, SettingsFile,
    local_enforcement,
};

use crate::args::LocalOptions;

/// Returns the strictness of a run. No code but the project's own build runs on a local stage, until one
/// is deployed there.
///
/// # Errors
///
/// When the records of a local stage's deploys cannot be read.
pub(crate) async fn enforcement(
    local: &LocalOptions,
    database: &Database,
    phase: DeployPhase,
) -> Result<Enforcement, Error> {
    match local.local {
        Some(_) => local_enforcement(database, phase).await,
        None => Ok(Enforcement::OfStage(phase)),
    }
}

/// Returns the times for which replaced code may still run, by the settings file of the project.
pub(crate) fn code_windows(local: &LocalOptions, file: Option<&SettingsFile>) -> CodeWindows {
    let rollback = || file.map_or(DEFAULT_ROLLBACK_WINDOW, SettingsFile::rollback_window);
    match local.local {
        Some(_) => CodeWindows::of_local_stage(),
        None => CodeWindows::of_stage(rollback()),
    }
}
