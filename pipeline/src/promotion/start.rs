//! The start of a promotion: the lease, and the progress of a run that did not come to its end.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use stagelink::self_check::SelfCheckKey;

use crate::error::{Error, ErrorKind};
use crate::promotion::deploy_record::{self, NewDeploy};
use crate::promotion::event::PromotionListener;
use crate::promotion::lease::{Lease, Taken};
use crate::promotion::plan::PromotionPlan;
use crate::promotion::progress::{COMMAND, Progress};
use crate::promotion::request::PromotionRequest;
use crate::promotion::waiting::take_when_free;

/// A promotion that has the lease of its stage.
pub(super) struct Started {
    pub(super) lease: Lease,
    pub(super) progress: Progress,
    /// True if an earlier run made the progress.
    pub(super) is_resumed: bool,
}

/// Takes the lease, and makes sure that the plan still holds.
///
/// # Errors
///
/// [`ErrorKind::Busy`] where another command has the stage, or what the plan was made from has changed;
/// [`ErrorKind::Promotion`] where an earlier run of another artifact did not come to its end; the errors
/// of Netlify and the database.
pub(super) async fn start(
    plan: &PromotionPlan,
    request: &PromotionRequest,
    listener: &PromotionListener<'_>,
) -> Result<Started, Error> {
    let taken = take_when_free(&request.database, &request.by, COMMAND, listener).await?;
    let (lease, earlier) = match taken {
        Taken::Resumed(lease, earlier) => {
            let earlier = Progress::read(earlier, request.to, &plan.site)?;
            (lease, earlier)
        }
        Taken::Fresh(lease) => (lease, None),
    };
    plan.site.set_fence(Arc::new(lease.handle().clone()));
    match earlier {
        Some(progress) => {
            let again = PromotionPlan::make(request).await?;
            let is_same = progress.artifact == plan.summary().artifact
                && again.summary().artifact == plan.summary().artifact;
            if !is_same {
                let what = format!("of the artifact {}", short(&progress.artifact));
                return Err(unfinished(&what, request));
            }
            Ok(Started {
                lease,
                progress,
                is_resumed: true,
            })
        }
        None => {
            let progress = begin(plan, request, &lease).await;
            match progress {
                Ok(progress) => Ok(Started {
                    lease,
                    progress,
                    is_resumed: false,
                }),
                Err(error) => Err(lease.release_after(error).await),
            }
        }
    }
}

/// Makes the plan again, and begins the record and the progress.
async fn begin(
    plan: &PromotionPlan,
    request: &PromotionRequest,
    lease: &Lease,
) -> Result<Progress, Error> {
    let again = PromotionPlan::make(request).await?;
    if again.sum() != plan.sum() {
        return Err(Error::new(
            ErrorKind::Busy,
            "what the plan was made from has changed since it was shown, so nothing was changed: run \
             the command again",
        ));
    }
    let summary = plan.summary();
    let key = SelfCheckKey::generate()
        .map_err(|error| Error::with_source(ErrorKind::Settings, "could not make a key", error))?;
    let key = key.to_text();
    let manifest = plan.source.manifest.to_json();
    let new = NewDeploy {
        command: COMMAND,
        artifact: &summary.artifact,
        previous: Some(&summary.published_deploy),
        commit: summary.commit.as_deref(),
        by: &request.by,
        manifest: &manifest,
        self_check_key: Some(&key),
    };
    lease.fence().await?;
    let progress = Progress {
        site: Some(plan.site.id().to_owned()),
        artifact: summary.artifact.clone(),
        previous: summary.published_deploy.clone(),
        was_locked: summary.is_locked,
        title: title(&summary.artifact),
        key: key.expose_secret().to_owned(),
        deploy: None,
        migrated: Vec::new(),
        migrated_names: Vec::new(),
        publishes: false,
        is_tested: false,
        record: deploy_record::begin(&request.database, lease.handle(), &new).await?,
        step: None,
    };
    progress.save(lease).await?;
    Ok(progress)
}

fn unfinished(what: &str, request: &PromotionRequest) -> Error {
    let to = request.to;
    Error::new(
        ErrorKind::Promotion,
        format!(
            "an earlier promotion to stage {to} is not finished, {what}: clean up after it by \
             `stagelink promote --to {to} --abort`"
        ),
    )
}

/// Returns a title that no other deploy has, by which the deploy is found again.
fn title(digest: &str) -> String {
    let token = std::iter::repeat_with(fastrand::alphanumeric).take(12);
    let token: String = token.collect();
    format!("stagelink promote {} {token}", short(digest))
}

/// Returns the beginning of a digest or commit, as people read it.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
