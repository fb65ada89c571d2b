//! `stagelink doctor`: finds what is wrong with the stages, with a line of advice for each.

mod text;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use console::Term;
use stagelink::{Stage, StageKind};
use stagelink_pipeline::{
    DeployContext, DoctorReport, DoctorRequest, Level, SettingsFile, SiteSource, StageSettings,
    examine,
};

use crate::args::DoctorOptions;
use crate::failure::Failure;
use crate::link::request::{Environment, by_stage};
use crate::local_clouds;
use crate::local_stages;
use crate::needs::function_artifacts;
use crate::output::{note_error, print_json, print_styled};
use crate::progress::Step;
use crate::project;
use crate::stage_context::context_of;
use crate::stage_database::settings_of;
use crate::status::request::site_source;

/// Examines the stages, and prints the report. Returns the exit code: 0 without errors, 1 with
/// `--strict` for warnings and for what was not checked, 2 for errors, also of the command's own arguments and settings.
pub async fn run(options: DoctorOptions) -> ExitCode {
    let printed = match doctor(&options).await {
        Ok(report) => print(&report, &options).map(|()| code(&report, options.strict)),
        Err(error) => {
            let printed = match options.json {
                true => print_json(&Failure::new(&error)),
                false => Ok(()),
            };
            note_error(&error);
            printed.map(|()| ERRORS)
        }
    };
    let code = printed.unwrap_or_else(|error| {
        note_error(&error);
        ERRORS
    });
    ExitCode::from(code)
}

const ERRORS: u8 = 2;
const WARNINGS: u8 = 1;

fn code(report: &DoctorReport, is_strict: bool) -> u8 {
    let open = report.count(Level::Warning) + report.not_checked();
    match (report.count(Level::Error), open) {
        (1.., _) => ERRORS,
        (0, 1..) if is_strict => WARNINGS,
        _ => 0,
    }
}

async fn doctor(options: &DoctorOptions) -> anyhow::Result<DoctorReport> {
    let file = project::settings_file(&options.local.project)?;
    let stages = stages(options, file.as_ref())?;
    if options.stage.name().is_none() {
        local_stages::note_others(&options.local, file.as_ref())?;
    }
    let mut request =
        DoctorRequest::new().with_long_transaction(Duration::from_secs(options.long_transaction));
    if let Some(instances) = options.concurrency {
        request = request.with_concurrency(instances);
    }
    let folder = &options.local.project;
    if let Some(migrations) = project::present_migrations_folder(folder, file.as_ref()) {
        request = request.with_migrations(migrations);
    }
    let built = function_artifacts::built(&project::root(folder, file.as_ref()));
    for artifacts in built.groups {
        let files = artifacts.file_names();
        request = request.with_artifacts(&artifacts.function, files, artifacts.list);
    }
    for reason in &built.unread {
        request = request.with_unread_artifact(reason);
    }
    let environment = Environment::of_process();
    let site = options.site.as_deref();
    request = request.with_site(site_source(
        site,
        &options.local,
        file.as_ref(),
        &environment,
    ));
    if let Some(clouds) = local_clouds::clouds(&options.local)? {
        request = request.with_running_site(SiteSource::Site {
            access: clouds.netlify_access(),
            site: clouds.site,
        });
    }
    for (stage, variable) in by_stage("--token-for", &options.tokens, file.as_ref())? {
        let token = environment.token(&variable, stage)?;
        request = request.with_token(stage, &variable, token);
    }
    // The previews of pull requests may run code of any author.
    if options.stage.name().is_none() {
        let review = review_stage(file.as_ref());
        request = request.with_context(DeployContext::DeployPreview, review);
    }
    let count = stages.len();
    for stage in all_stages(options, file.as_ref()).unwrap_or_default() {
        if !stages.contains(&stage) {
            request = request.with_other_stage(stage);
        }
    }
    for stage in stages {
        if let Ok(context) = context_of(stage, file.as_ref())
            && (context != DeployContext::DeployPreview || options.stage.name().is_some())
        {
            request = request.with_context(context, stage);
        }
        let settings = settings_of(&[], Some(stage.as_str()), &options.local).await;
        let settings = match settings {
            Ok(settings) => settings.map_err(|error| error.report().to_string()),
            // The error's texts hold no value of a variable.
            Err(error) => Err(format!("{error:#}")),
        };
        let of_file = file.as_ref().and_then(|file| file.stage(stage).ok());
        let provider = of_file.and_then(StageSettings::provider);
        request = request.with_stage(stage, settings, provider);
    }
    let request = request.with_advised_options(options.local.advised().trim_start());
    let step = Step::begin("stages");
    let tell = step.teller();
    let report = examine(request, tell).await;
    step.done(&format!("{count} examined"));
    Ok(report)
}

/// Returns the stages to examine: the named one, else those of the project. A preview's database belongs to its pull request, so stage review is examined
/// only where it is named or has an app of its own.
fn stages(options: &DoctorOptions, file: Option<&SettingsFile>) -> anyhow::Result<Vec<Stage>> {
    if let Some(name) = options.stage.name() {
        return Ok(vec![local_stages::parse(name, file, &options.local)?]);
    }
    all_stages(options, file)
}

/// Returns the project's stages: those of the file, of the environment, or of most projects.
fn all_stages(options: &DoctorOptions, file: Option<&SettingsFile>) -> anyhow::Result<Vec<Stage>> {
    if let Some(stages) = local_clouds::stages(&options.local)? {
        return Ok(stages);
    }
    let of_file = file.map(SettingsFile::stages).into_iter().flatten();
    let of_file = of_file.filter(|(stage, settings)| {
        stage.kind() != StageKind::Review || settings.heroku_app().is_some()
    });
    let of_file: Vec<_> = of_file.map(|(stage, _)| *stage).collect();
    if !of_file.is_empty() {
        return Ok(of_file);
    }
    let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    if set("STAGELINK_HEROKU_PIPELINE") {
        return Ok(vec![Stage::STAGING, Stage::PRODUCTION]);
    }
    match std::env::var("STAGELINK_STAGE") {
        Ok(name) if !name.trim().is_empty() => Ok(vec![
            name.trim()
                .parse()
                .context("could not use STAGELINK_STAGE")?,
        ]),
        _ => bail!(
            "no stage is named, and there is no stagelink.toml with stages: add one, name a stage \
             as in `stagelink doctor staging`, or set STAGELINK_STAGE{}",
            local_clouds::hint(&options.local)
        ),
    }
}

/// Returns the stage of the previews: the file's, where it has one.
fn review_stage(file: Option<&SettingsFile>) -> Stage {
    let stages = file.map(SettingsFile::stages).into_iter().flatten();
    let mut stages = stages.map(|(stage, _)| *stage);
    let review = stages.find(|stage| stage.kind() == StageKind::Review);
    review.unwrap_or(Stage::REVIEW)
}

fn print(report: &DoctorReport, options: &DoctorOptions) -> anyhow::Result<()> {
    match options.json {
        true => print_json(report),
        false => print_styled(text::of(report, width(), options.all)),
    }
}

/// Returns the columns of the terminal, or `COLUMNS`, or what a log shows well.
fn width() -> usize {
    let named = std::env::var("COLUMNS").ok();
    let named = named.and_then(|columns| columns.trim().parse().ok());
    let of_terminal = || {
        let is_terminal = std::io::stdout().is_terminal();
        is_terminal.then(|| usize::from(Term::stdout().size().1))
    };
    named.or_else(of_terminal).unwrap_or(100).clamp(40, 160)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn previews_serve_the_review_stage_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("[stages.pr]\nkind = \"review\"\n", "review/pr"),
            ("[stages.staging]\n", "review"),
        ] {
            let text = format!("heroku.pipeline = \"a\"\n{text}");
            std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
            let file = SettingsFile::load(folder.path()).unwrap();
            assert_eq!(review_stage(file.as_ref()).as_str(), expected);
        }
    }

    #[test]
    fn stages_are_those_of_the_file_without_a_preview_that_has_no_app() {
        let folder = tempfile::tempdir().unwrap();
        let text = "heroku.pipeline = \"a\"\n[stages.review]\n[stages.staging]\n\
                    [stages.production]\n";
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        let file = SettingsFile::load(folder.path()).unwrap();
        let of = |arguments: &[&str]| {
            let options = DoctorOptions::parse_from([&["doctor"], arguments].concat());
            stages(&options, file.as_ref())
        };
        assert_eq!(of(&[]).unwrap(), [Stage::STAGING, Stage::PRODUCTION]);
        assert_eq!(of(&["review"]).unwrap(), [Stage::REVIEW]);
        assert!(of(&["nowhere"]).is_err());
    }
}
