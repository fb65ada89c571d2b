//! Takes back a rollback on Netlify that did not come to its end.

use std::sync::Arc;

use stagelink::Stage;

use crate::error::Error;
use crate::netlify::Site;
use crate::promotion::abort::{AbortReport, ensure_is_of};
use crate::promotion::deploy_record::{self, DeployOutcome};
use crate::promotion::lease::Lease;
use crate::promotion::rollback::{COMMAND, MOST_RECORDS, RollbackRequest, interrupted};

/// Takes the lease of a rollback away, also from one that still runs, and publishes the deploy again that
/// was there before, where the rollback has published its own. Where that one is gone, the other stays
/// live, and the report says so.
///
/// # Errors
///
/// [`ErrorKind::Promotion`](crate::ErrorKind::Promotion) where another command has the lease; the errors of Netlify and the
/// database. It may be run again.
pub async fn abort_rollback(request: &RollbackRequest) -> Result<AbortReport, Error> {
    let (stage, database) = (request.stage, &request.database);
    let mut done = Vec::new();
    let Some(row) = Lease::look(database).await? else {
        return Ok(AbortReport { done });
    };
    ensure_is_of(&row, COMMAND)?;
    if row.is_foreign {
        let done = vec![Lease::discard(database, &request.by, &row).await?];
        return Ok(AbortReport { done });
    }
    let site = Site::find(&request.access, &request.site, true).await?;
    let (lease, _) = Lease::seize(database, &request.by, &row).await?;
    site.set_fence(Arc::new(lease.handle().clone()));
    let records = deploy_record::deploy_records(database, MOST_RECORDS).await?;
    let begun = records
        .first()
        .filter(|record| record.command == COMMAND && record.finished_at.is_none());
    if let Some(record) = begun {
        let published = site.read_published_deploy().await?.unwrap_or_default();
        let target = published.id.as_str();
        let (outcome, deploy) = match interrupted(&records, target) {
            Some(before) => {
                let is_locked = published.locked == Some(true);
                let outcome = publish_again(&site, stage, (before, target), is_locked, &mut done);
                (outcome.await?, Some(target))
            }
            None => {
                done.push(match record.previous.as_deref() == Some(target) {
                    // A command that runs, or has just ended, may have sent it.
                    true if !row.is_expired => "the rollback has published nothing so far, and a call that \
                         was on its way to Netlify then may still arrive: look again in a minute at what is live"
                        .to_owned(),
                    true => "the rollback had published nothing".to_owned(),
                    false => format!(
                        "the deploy {target}, which another person or job has published, stays live"
                    ),
                });
                (DeployOutcome::Aborted, None)
            }
        };
        deploy_record::finish(database, lease.handle(), record.id, outcome, deploy, &[]).await?;
    } else {
        done.push("the rollback had not changed anything".to_owned());
    }
    done.extend(lease.release().await?.warning());
    Ok(AbortReport { done })
}

/// Publishes the deploy of before a rollback, with the site's lock as it is.
async fn publish_again(
    site: &Site,
    stage: Stage,
    (before, target): (&str, &str),
    is_locked: bool,
    done: &mut Vec<String>,
) -> Result<DeployOutcome, Error> {
    if site.find_deploy(before).await?.is_none() {
        done.push(format!(
            "the deploy {target} stays live, which has not passed its test at the site's address, since \
             Netlify has the deploy {before} of before no longer: `stagelink rollback {stage} --to DEPLOY` \
             publishes one of `stagelink history {stage}`, and `stagelink deploy {stage}` makes a new one"
        ));
        return Ok(DeployOutcome::Untested);
    }
    let published = site.publish(before).await?;
    if is_locked && published.locked != Some(true) {
        site.lock(before).await?;
    }
    done.push(format!("the deploy {before} is published again"));
    Ok(DeployOutcome::Aborted)
}
