//! The request of `stagelink deploy`, from its options, the environment and `stagelink.toml`.

use std::path::Path;
use std::time::Duration;

use stagelink::{Database, Settings};
use stagelink_pipeline::{DeployPhase, DeployRequest, HerokuDatabase, MigrationOptions};

use super::commit::Commit;
use crate::args::DeployOptions;
use crate::migrate::overrides;
use crate::migration_rules::enforcement;
use crate::operator;
use crate::project;
use crate::site_access::site_access;
use crate::stage_context::context_of;
use crate::stage_database::settings_of;
use crate::stage_name;
use crate::usage_error::of_usage;

/// Builds the request.
///
/// # Errors
///
/// When the stage, its context, the site or the stage's database is not known.
pub(super) async fn from_options(
    options: &DeployOptions,
    project: &Path,
    commit: Commit,
) -> anyhow::Result<DeployRequest> {
    let file = project::settings_file(project)?;
    let file = file.as_ref();
    let stage = stage_name::parse(&options.stage, file).map_err(of_usage)?;
    let context = context_of(stage, file).map_err(|reason| {
        anyhow::anyhow!("stage {stage} has no deploy context on Netlify: {reason}")
    })?;
    let site = site_access(&options.local, options.site.as_deref(), file)?;
    let settings = settings_of(&[], Some(&options.stage), &options.local).await?;
    let settings = settings.map(Settings::with_app_names);
    let heroku = settings.as_ref().ok().and_then(HerokuDatabase::of);
    let database = Database::new(settings.map(Settings::without_pooler));
    let folder = project.to_owned();
    let mut request = DeployRequest::new(stage, context, folder, site, database);
    request.heroku = heroku;
    request.migrations = project::migrations(project, file)?;
    request.options = limits(options)?;
    let phase = DeployPhase::Before;
    request.options.enforcement = enforcement(&options.local, &request.database, phase).await?;
    request.commit = commit.name;
    request.is_dirty = commit.is_dirty;
    request.test_limit = (!options.no_test).then(|| Duration::from_secs(options.test_limit));
    if let Some(seconds) = options.ready_limit {
        request.ready_limit = Duration::from_secs(seconds);
    }
    request.allows_dirty = options.dirty || options.local.local.is_some();
    Ok(request)
}

/// Returns the limits and rules of the migrations, but for those that depend on the database.
fn limits(options: &DeployOptions) -> anyhow::Result<MigrationOptions> {
    let mut limits = MigrationOptions::default();
    limits.overrides = overrides(&options.overridden, &options.reasons)?;
    limits.applied_by = operator::name();
    limits.is_local = options.local.local.is_some();
    Ok(limits)
}
