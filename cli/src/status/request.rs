//! The request of `stagelink status`, from its options, the environment and `stagelink.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::bail;
use stagelink::Stage;
use stagelink_pipeline::{SettingsFile, SiteSource, StageSource, StatusRequest};

use crate::args::{LocalOptions, StatusOptions};
use crate::lambda;
use crate::link::request::Environment;
use crate::local_clouds;
use crate::local_stages;
use crate::migration_rules::code_windows;
use crate::project;
use crate::site;
use crate::stage_context::{NO_NETLIFY_TOKEN, context_of};
use crate::stage_database::settings_of;

/// Builds the request.
///
/// # Errors
///
/// When no stage is known, or one that does not exist is named; when the file cannot be used; when a
/// variable of the environment would lead all stages to one database.
pub(super) async fn from_options(options: &StatusOptions) -> anyhow::Result<StatusRequest> {
    let environment = Environment::of_process();
    let file = project::settings_file(&options.local.project)?;
    let file = file.as_ref();
    let stages = stages_of(options, file, &environment)?;
    if options.stages.is_empty() && options.more_stages.is_empty() {
        local_stages::note_others(&options.local, file)?;
    }
    let is_local = options.local.local.is_some();
    if !is_local {
        ensure_stages_are_told_apart(&stages, &environment)?;
    }
    let urls = match is_local {
        true => local_clouds::running(&options.local)?.urls,
        false => BTreeMap::new(),
    };
    let site = match local_clouds::clouds(&options.local)? {
        // Beside the build that it serves itself, its Netlify has the deploys that were made there.
        Some(clouds) => SiteSource::Site {
            access: clouds.netlify_access(),
            site: clouds.site,
        },
        None => site_source(options.site.as_deref(), &options.local, file, &environment),
    };
    let mut sources = Vec::new();
    for stage in stages {
        let settings = settings_of(&[], Some(&stage.to_string()), &options.local).await;
        let settings = match settings {
            // It reads alone, and shows the mark.
            Ok(Ok(mut settings)) => {
                settings.server.require_mark = false;
                Ok(settings)
            }
            Ok(Err(error)) => Err(error.report().to_string()),
            Err(error) => Err(format!("{error:#}")),
        };
        let mut source = StageSource::new(stage, context_of(stage, file), settings);
        source.local_url = urls.get(stage.name()).cloned();
        if let Some(file) = file.filter(|_| !is_local) {
            source.lambda = file.lambda_functions(stage);
        }
        sources.push(source);
    }
    let mut request = StatusRequest::new(sources, site);
    request.aws = lambda::access(&options.local).map_err(|error| format!("{error:#}"));
    request.limit = Duration::from_secs(options.timeout);
    request.windows = code_windows(&options.local, file);
    let migrations = project::migrations(&options.local.project, file);
    request.migrations = migrations.map_err(unusable);
    Ok(request)
}

/// Returns the reason why a folder of migrations cannot be used. Its headline tells of a run, which
/// this is none.
fn unusable(error: stagelink_pipeline::Error) -> String {
    let details: Vec<_> = error.details().collect();
    match details.is_empty() {
        true => format!("{:#}", anyhow::Error::from(error)),
        false => format!("the folder cannot be used: {}", details.join("; ")),
    }
}

/// Returns the stages to show: the named ones, those of the local clouds, of the file, or of the
/// environment.
fn stages_of(
    options: &StatusOptions,
    file: Option<&SettingsFile>,
    environment: &Environment,
) -> anyhow::Result<Vec<Stage>> {
    let mut named = options.stages.iter().chain(&options.more_stages).peekable();
    if named.peek().is_some() {
        let named = named.map(|name| local_stages::parse(name, file, &options.local));
        let mut stages: Vec<Stage> = named.collect::<Result<_, _>>()?;
        let mut seen = BTreeSet::new();
        stages.retain(|stage| seen.insert(*stage));
        return Ok(stages);
    }
    if let Some(stages) = local_clouds::stages(&options.local)? {
        return Ok(stages);
    }
    if let Some(file) = file.filter(|file| !file.stages().is_empty()) {
        return Ok(file.stages().keys().copied().collect());
    }
    if environment.var("STAGELINK_HEROKU_PIPELINE").is_some() {
        return Ok(vec![Stage::STAGING, Stage::PRODUCTION]);
    }
    match environment.var("STAGELINK_STAGE") {
        Some(stage) => Ok(vec![stage.parse()?]),
        None => bail!(
            "no stage is known: add a stagelink.toml with the project's stages, set \
             STAGELINK_HEROKU_PIPELINE, or name a stage, as in `stagelink status production`{}",
            local_clouds::hint(&options.local)
        ),
    }
}

/// Makes sure that no source of one database stands for several stages.
fn ensure_stages_are_told_apart(stages: &[Stage], environment: &Environment) -> anyhow::Result<()> {
    let chosen = environment.var("STAGELINK_PROVIDER");
    match chosen.map(str::to_ascii_lowercase).as_deref() {
        Some(name @ ("url" | "neon" | "render")) if stages.len() > 1 => bail!(
            "STAGELINK_PROVIDER={name} of the environment knows one database, and the status of \
             several stages is wanted: unset it, or name the one stage"
        ),
        _ => Ok(()),
    }
}

/// Returns the site of a project, and how it is asked.
pub(crate) fn site_source(
    named: Option<&str>,
    local: &LocalOptions,
    file: Option<&SettingsFile>,
    environment: &Environment,
) -> SiteSource {
    if local.local.is_some() {
        return SiteSource::None("the local clouds serve the project's own build".to_owned());
    }
    let site = match site::find(named, file, &local.project) {
        Ok(Some(site)) => site,
        Ok(None) => {
            return SiteSource::None(
                "no Netlify site is named: set netlify.site in stagelink.toml, or use --site"
                    .to_owned(),
            );
        }
        // A site is linked, and not known: its checks are not left out.
        Err(error) => return SiteSource::NotKnown(format!("{error:#}")),
    };
    match environment.netlify_access() {
        Some(access) => SiteSource::Site { access, site },
        None => SiteSource::NotKnown(NO_NETLIFY_TOKEN.to_owned()),
    }
}
