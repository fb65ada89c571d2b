//! Cleans up after a promotion that did not come to its end.

use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::netlify::Site;
use crate::promotion::lease::{self, Lease, LeaseRow};
use crate::promotion::progress::{COMMAND, Progress};
use crate::promotion::request::PromotionRequest;
use crate::promotion::take_back::{Unfinished, WhereGone};
use crate::promotion::unfinished::rerun;

/// The result of a clean-up after a promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AbortReport {
    /// A sentence for each thing that was done, and that stays. Empty where there was no unfinished
    /// promotion.
    pub done: Vec<String>,
}

/// Takes the lease of a promotion away, also from one that still runs, and takes back what it did: a
/// deploy that is not published is deleted, the one before is published again, and the lock is set as it
/// was. Migrations stay. Where the deploy of before is gone, the new one stays live, and the report says
/// so.
///
/// # Errors
///
/// [`ErrorKind::Promotion`] where another command has the lease; the errors of Netlify and the
/// database. It may be run again.
pub async fn abort(request: &PromotionRequest) -> Result<AbortReport, Error> {
    let Some(row) = Lease::look(&request.database).await? else {
        return Ok(AbortReport { done: Vec::new() });
    };
    ensure_is_of(&row, COMMAND)?;
    if row.is_foreign {
        let done = vec![Lease::discard(&request.database, &request.by, &row).await?];
        return Ok(AbortReport { done });
    }
    let site = Site::find(&request.access, &request.site, true).await?;
    let progress = lease::Progress(row.progress.clone());
    // One that this command cannot take back keeps its lease.
    Progress::read(progress, request.to, &site)?;
    let (lease, row) = Lease::seize(&request.database, &request.by, &row).await?;
    site.set_fence(Arc::new(lease.handle().clone()));
    let progress = Progress::read(lease::Progress(row.progress), request.to, &site)?;
    let Some(progress) = progress else {
        // It was killed before it changed anything.
        let mut done = vec!["the promotion had not changed anything".to_owned()];
        done.extend(lease.release().await?.warning());
        return Ok(AbortReport { done });
    };
    let unfinished = Unfinished {
        site: &site,
        stage: request.to,
        database: &request.database,
        lease,
        progress,
    };
    let mut done = unfinished.take_back(WhereGone::Frees).await?;
    if done.is_empty() {
        done.push(
            "the stage is free; the promotion had made no deploy and left no lock, and a call that was on its way \
             to Netlify then may still arrive: look whether publishing is locked"
                .to_owned(),
        );
    }
    Ok(AbortReport { done })
}

/// Makes sure that a lease is of the command that takes it back.
///
/// # Errors
///
/// [`ErrorKind::Promotion`] where it is another command's, with how that is taken back.
pub(crate) fn ensure_is_of(row: &LeaseRow, command: &str) -> Result<(), Error> {
    if row.command == command {
        return Ok(());
    }
    let noun = match command {
        COMMAND => "promotion",
        other => other,
    };
    Err(Error::new(
        ErrorKind::Promotion,
        format!(
            "the stage {} is changed by {row}, which is no {noun}: `{} --abort` takes that back",
            row.stage,
            rerun(&row.command, &row.stage)
        ),
    ))
}
