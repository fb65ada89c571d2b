//! The run of a rollback: it publishes the deploy, tests it, and takes it back where it does not pass.

use std::sync::Arc;
use std::time::Instant;

use stagelink::Stage;

use super::{COMMAND, RollbackPlan, RollbackReport, RollbackRequest};
use crate::error::{Error, ErrorKind};
use crate::netlify::Deploy;
use crate::promotion::deploy_record::{self, DeployOutcome, NewDeploy};
use crate::promotion::event::{PromotionEvent, PromotionListener};
use crate::promotion::lease::{Lease, Taken};
use crate::promotion::runnable::ensure_runnable;
use crate::promotion::step::Step;
use crate::promotion::waiting::take_when_free;

impl RollbackPlan {
    /// Publishes the deploy, which is one atomic change, and tests it at the stage's address. If it
    /// does not pass, the deploy that was there is published again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] where another command changes the stage, or another person has published;
    /// [`ErrorKind::Promotion`] where the test fails; the errors of Netlify and the database.
    pub async fn run(
        self,
        request: &RollbackRequest,
        listener: &PromotionListener<'_>,
    ) -> Result<RollbackReport, Error> {
        let started = Instant::now();
        listener(&PromotionEvent::Begins(Step::Lease));
        let taken = take_when_free(&request.database, &request.by, COMMAND, listener).await?;
        // One atomic change is all that a rollback does, so nothing of an earlier run is left.
        let (Taken::Fresh(lease) | Taken::Resumed(lease, _)) = taken;
        self.site.set_fence(Arc::new(lease.handle().clone()));
        listener(&PromotionEvent::Done(Step::Lease, "taken"));
        let done = self.publish(request, &lease, listener).await;
        if let Err(error) = done {
            return Err(lease.release_after(error).await);
        }
        if let Some(text) = lease.release().await?.warning() {
            listener(&PromotionEvent::Tells(&text));
        }
        Ok(RollbackReport {
            deploy: self.target.id.clone(),
            artifact: self.record.artifact.clone(),
            live: self.site.address()?,
            previous: self.published.id.clone(),
            api_requests: self.site.requests(),
            seconds: started.elapsed().as_secs(),
        })
    }

    async fn publish(
        &self,
        request: &RollbackRequest,
        lease: &Lease,
        listener: &PromotionListener<'_>,
    ) -> Result<(), Error> {
        let published = self.site.read_published_deploy().await?;
        let id = published.map(|deploy| deploy.id).unwrap_or_default();
        // An earlier rollback may have published it.
        if id != self.published.id && id != self.target.id {
            return Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "another person or job has published the deploy {id} since the plan was made, so nothing \
                     was changed"
                ),
            ));
        }
        let new = NewDeploy {
            command: COMMAND,
            artifact: &self.record.artifact,
            previous: Some(&self.published.id),
            commit: self.record.commit.as_deref(),
            by: &request.by,
            manifest: &self.record.manifest,
            self_check_key: self.record.self_check_key.as_ref(),
        };
        let record = deploy_record::begin(&request.database, lease.handle(), &new).await?;
        // From here on a migration of *after* takes the deploy into account. One may have been applied
        // since the plan was made.
        let (database, migrations) = (&request.database, request.migrations.as_ref());
        if let Err(error) = ensure_runnable(database, migrations, &self.manifest).await {
            let (failed, id) = (DeployOutcome::Failed, Some(&*self.target.id));
            let finished =
                deploy_record::finish(&request.database, lease.handle(), record, failed, id, &[]);
            return Err(match finished.await {
                Ok(()) => error,
                Err(second) => error.and_details(vec![second.report()]),
            });
        }
        listener(&PromotionEvent::Begins(Step::Publish));
        self.restore(&self.target).await?;
        listener(&PromotionEvent::Done(Step::Publish, &self.target.id));
        listener(&PromotionEvent::Begins(Step::TestLive));
        let address = self.site.address()?;
        let (outcome, tested) = match self.test(request, &address, listener).await {
            Ok(()) => (DeployOutcome::Succeeded, Ok(())),
            Err(error) => {
                listener(&PromotionEvent::TakesBack);
                let (outcome, text) = self.take_back(request.stage).await;
                (outcome, Err(error.and_details(vec![text])))
            }
        };
        let id = Some(&*self.target.id);
        let finished =
            deploy_record::finish(&request.database, lease.handle(), record, outcome, id, &[])
                .await;
        match (tested, finished) {
            (Ok(()), finished) => finished?,
            (Err(error), Ok(())) => return Err(error),
            (Err(error), Err(second)) => return Err(error.and_details(vec![second.report()])),
        }
        listener(&PromotionEvent::Done(
            Step::TestLive,
            &format!("passed at {address}"),
        ));
        Ok(())
    }

    /// Publishes the deploy again that was there before the rollback, unless another person or job has
    /// published a third one, which stays. Returns the outcome of the rollback, with a sentence about it.
    async fn take_back(&self, stage: Stage) -> (DeployOutcome, String) {
        let (before, target) = (&self.published.id, &self.target.id);
        let restored = match self.site.read_published_deploy().await {
            Ok(Some(live)) if live.id != *before && live.id != *target => {
                let text = format!(
                    "another person or job has published the deploy {} meanwhile, which stays live",
                    live.id
                );
                return (DeployOutcome::Restored, text);
            }
            Ok(_) => self.restore(&self.published).await,
            Err(error) => Err(error),
        };
        let Err(error) = restored else {
            let text = format!("the deploy {before} is published again");
            return (DeployOutcome::Restored, text);
        };
        let live = self.site.read_published_deploy().await;
        match live {
            Ok(Some(live)) if live.id == *before => (
                DeployOutcome::Restored,
                format!(
                    "the deploy {before} is published again, and its lock may be another one than \
                     before: {}",
                    error.report()
                ),
            ),
            _ => (
                DeployOutcome::Untested,
                format!(
                    "the deploy {target} is live and has not passed its test, and the deploy {before} of \
                     before could not be published again ({}): `stagelink rollback {stage} --to DEPLOY` \
                     publishes one of `stagelink history {stage}`, and `stagelink deploy {stage}` makes a \
                     new one",
                    error.report()
                ),
            ),
        }
    }

    /// Publishes a deploy, with the site's lock as it was.
    async fn restore(&self, deploy: &Deploy) -> Result<(), Error> {
        let published = self.site.publish(&deploy.id).await?;
        let is_locked = published.locked == Some(true);
        match (self.summary.is_locked, is_locked) {
            (true, false) => self.site.lock(&deploy.id).await.map(|_| ()),
            _ => Ok(()),
        }
    }
}
