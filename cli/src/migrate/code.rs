//! The code that runs on a stage, for a run of `stagelink migrate --after`.

use stagelink::Database;
use stagelink_pipeline::{MigrationFolder, MigrationPlan, RunningCode, running_code};

use crate::args::MigrateOptions;
use crate::migration_rules::code_windows;
use crate::output::note;
use crate::project;

/// Looks up the code that runs on a stage, or that a rollback may bring back. `None` where the run does
/// not ask about it, or the stage's database has no record of a deploy.
///
/// # Errors
///
/// When the records or the settings file cannot be read.
pub(super) async fn running_on(
    database: &Database,
    folder: &MigrationFolder,
    options: &MigrateOptions,
) -> anyhow::Result<Option<RunningCode>> {
    if !options.after {
        return Ok(None);
    }
    let file = project::settings_file(&options.local.project)?;
    let windows = code_windows(&options.local, file.as_ref());
    Ok(running_code(database, Some(folder), windows).await?)
}

/// Says that no record tells which code runs, where the run applies files of *after*.
pub(super) fn note_unknown(plan: &MigrationPlan) {
    let is_of_after = plan.applying().any(|migration| migration.class == "after");
    if is_of_after && !plan.is_of_empty_database() {
        let stage = plan.stage();
        note(format_args!(
            "note: no deploy of stage {stage} is recorded in its database, so it is not known whether code \
             runs that a file of after breaks. Code that `stagelink deploy` or `stagelink promote` makes \
             live is recorded"
        ));
    }
}
