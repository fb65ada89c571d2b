//! Cleans up after a deploy that was interrupted, and is not to be gone on with.

use std::sync::Arc;

use crate::deploy::leftover::{COMMAND, DeployState};
use crate::deploy::request::DeployRequest;
use crate::deploy::run;
use crate::error::Error;
use crate::netlify::Site;
use crate::promotion::{AbortReport, DeployOutcome, Lease, ensure_is_of, finish};

/// Takes the lease of a deploy away, also from one that still runs, and cancels its deploy unless that is
/// ready. Migrations stay.
///
/// # Errors
///
/// [`ErrorKind::Promotion`](crate::ErrorKind::Promotion) where another command has the lease; the errors of
/// Netlify and the database. It may be run again.
pub async fn abort(request: &DeployRequest) -> Result<AbortReport, Error> {
    let (database, stage) = (&request.database, request.stage);
    let mut done = Vec::new();
    let Some(row) = Lease::look(database).await? else {
        return Ok(AbortReport { done });
    };
    ensure_is_of(&row, COMMAND)?;
    if row.is_foreign {
        let done = vec![Lease::discard(database, &request.options.applied_by, &row).await?];
        return Ok(AbortReport { done });
    }
    let site = Site::find(&request.access, &request.site, true).await?;
    // One that this command cannot take back keeps its lease.
    DeployState::of_lease(&row.progress, stage, site.id())?;
    let (lease, row) = Lease::seize(database, &request.options.applied_by, &row).await?;
    site.set_fence(Arc::new(lease.handle().clone()));
    let state = DeployState::of_lease(&row.progress, stage, site.id())?;
    let mut outcome = DeployOutcome::Aborted;
    if let Some(id) = state.as_ref().and_then(|state| state.deploy.as_ref()) {
        let is_ready = match site.find_deploy(id).await? {
            Some(deploy) if deploy.is_ready() => true,
            Some(deploy) if !deploy.has_failed() => {
                let is_cancelled = site.cancel_deploy(id).await?;
                if is_cancelled {
                    done.push(format!("the deploy {id} is cancelled"));
                }
                !is_cancelled
            }
            _ => false,
        };
        if is_ready {
            if run::may_be_live(&site, request, id).await {
                outcome = DeployOutcome::Untested;
            }
            done.push(format!(
                "the deploy {id} is ready and stays, and nothing says that it passed its test: `stagelink \
                 deploy {stage}` replaces it"
            ));
        }
    }
    for (_, name) in state.iter().flat_map(|state| &state.applied) {
        done.push(format!("the migration {name} stays applied"));
    }
    if let Some(state) = &state
        && let Some(record) = state.record
    {
        let deploy = state.deploy.as_deref();
        let versions = state.versions();
        finish(database, lease.handle(), record, outcome, deploy, &versions).await?;
    }
    done.push(lease.release().await?.to_string());
    Ok(AbortReport { done })
}
