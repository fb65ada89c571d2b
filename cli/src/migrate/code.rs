//! The code that runs on a stage, for a run of `stagelink migrate --after`.

use std::collections::BTreeMap;
use std::time::Duration;

use stagelink::Database;
use stagelink_pipeline::{
    MigrationFolder, MigrationPlan, PublishedCode, RunningCode, SettingsFile, SiteSource,
    running_code,
};

use crate::args::MigrateOptions;
use crate::lambda;
use crate::link::request::Environment;
use crate::local_clouds;
use crate::migration_rules::code_windows;
use crate::output::note;
use crate::project;
use crate::stage_context::context_of;
use crate::status::request::site_source;

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
    let published = published_on(database, options, file.as_ref()).await?;
    Ok(running_code(database, Some(folder), windows, &published).await?)
}

/// Looks up what the platforms publish on the stage now. A site that the project does not name is none; one
/// that cannot be asked, such as without a token, is not known.
async fn published_on(
    database: &Database,
    options: &MigrateOptions,
    file: Option<&SettingsFile>,
) -> anyhow::Result<Vec<PublishedCode>> {
    let stage = database.stage()?;
    let site = match local_clouds::clouds(&options.local)? {
        Some(clouds) => SiteSource::Site {
            access: clouds.netlify_access(),
            site: clouds.site,
        },
        None => {
            let environment = Environment::of_process();
            site_source(None, &options.local, file, &environment)
        }
    };
    let functions = match (options.local.local, file) {
        (None, Some(file)) => file.lambda_functions(stage),
        _ => BTreeMap::new(),
    };
    let aws = lambda::access(&options.local).map_err(|error| format!("{error:#}"));
    let context = context_of(stage, file);
    let (netlify, lambda) = tokio::join!(
        PublishedCode::on_netlify(&site, &context, LIMIT),
        PublishedCode::on_lambda(&aws, stage.name(), &functions, LIMIT),
    );
    Ok(netlify.into_iter().chain(lambda).collect())
}

/// The time limit of a look-up.
const LIMIT: Duration = Duration::from_secs(20);

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
