//! `stagelink env`: lists the variables that a stage's functions get on Netlify.

mod table;

use std::process::ExitCode;

use anyhow::bail;
use stagelink_pipeline::{ApiAccess, DeployContext, ErrorKind, FunctionEnvironment};

use crate::args::EnvOptions;
use crate::failure::Failure;
use crate::output::{note_error, print, print_json};
use crate::progress::Step;
use crate::project;
use crate::site_access::site_access;
use crate::stage_context::context_of;
use crate::stage_name;

/// Looks up the variables of a stage's functions, and lists them. The exit code is 1 where Netlify
/// could not be asked.
///
/// # Errors
///
/// When the options or the settings cannot be used.
pub async fn run(options: EnvOptions) -> anyhow::Result<ExitCode> {
    let found = async {
        let request = Request::new(&options)?;
        let step = Step::begin("site");
        let found =
            FunctionEnvironment::look_up(&request.access, &request.site, &request.context).await;
        if let Ok(found) = &found {
            step.done(&format!(
                "{}, {}",
                found.site,
                match found.variables.len() {
                    1 => "1 variable".to_owned(),
                    count => format!("{count} variables"),
                }
            ));
        }
        Ok(found?)
    };
    let error: anyhow::Error = match found.await {
        Ok(found) => {
            match options.json {
                true => print_json(&found)?,
                false => print(table::text(&found))?,
            }
            return Ok(match found.is_complete() {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(1),
            });
        }
        Err(error) => error,
    };
    if options.json {
        print_json(&Failure::new(&error))?;
    }
    let kind = error.downcast_ref::<stagelink_pipeline::Error>();
    match kind.map(stagelink_pipeline::Error::kind) {
        Some(ErrorKind::Refused | ErrorKind::Unavailable) => {
            note_error(&error);
            Ok(ExitCode::from(1))
        }
        _ => Err(error),
    }
}

/// The site and the context whose variables are wanted.
struct Request {
    access: ApiAccess,
    site: String,
    context: DeployContext,
}

impl Request {
    fn new(options: &EnvOptions) -> anyhow::Result<Self> {
        let file = project::settings_file(&options.local.project)?;
        let file = file.as_ref();
        let stage = stage_name::parse(options.stage.name().unwrap_or_default(), file)?;
        let context = match context_of(stage, file) {
            Ok(context) => context,
            Err(reason) => bail!("stage {stage} has no functions on Netlify: {reason}"),
        };
        let (access, site) = site_access(&options.local, options.site.as_deref(), file)?;
        Ok(Self {
            access,
            site,
            context,
        })
    }
}
