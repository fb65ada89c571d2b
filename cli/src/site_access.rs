//! The access to the site that a command changes: at Netlify, or at the local clouds.

use anyhow::Context as _;
use stagelink_pipeline::{ApiAccess, SettingsFile};

use crate::args::LocalOptions;
use crate::link::request::Environment;
use crate::local_clouds;
use crate::site;
use crate::stage_context::NO_NETLIFY_TOKEN;

/// Returns the access to Netlify's API and the name or id of a project's site: with `--local` those of
/// the running `stagelink dev`.
///
/// # Errors
///
/// Those of [`required`](site::required), where there is no token, and where no `stagelink dev` runs for `--local`.
pub(crate) fn site_access(
    local: &LocalOptions,
    named: Option<&str>,
    file: Option<&SettingsFile>,
) -> anyhow::Result<(ApiAccess, String)> {
    let clouds = local_clouds::clouds(local)?;
    let (environment, site) = match &clouds {
        Some(clouds) => (Environment::of_local_clouds(clouds), clouds.site.clone()),
        None => {
            let site = site::required(named, file, &local.project)?;
            (Environment::of_process(), site)
        }
    };
    let access = environment.netlify_access().context(NO_NETLIFY_TOKEN)?;
    Ok((access, site))
}
