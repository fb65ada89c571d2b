//! Takes back what a promotion did that does not come to its end: the deploy that was published
//! before, the lock as it was, and the lease.

use stagelink::{Database, Stage};

use crate::error::Error;
use crate::netlify::{Deploy, Site};
use crate::promotion::deploy_record::{self, DeployOutcome};
use crate::promotion::lease::Lease;
use crate::promotion::progress::Progress;

/// A promotion that does not come to its end.
pub(super) struct Unfinished<'a> {
    pub(super) site: &'a Site,
    pub(super) stage: Stage,
    pub(super) database: &'a Database,
    pub(super) lease: Lease,
    pub(super) progress: Progress,
}

impl Unfinished<'_> {
    /// Takes it back, and returns a sentence for each thing that was done or that stays.
    ///
    /// # Errors
    ///
    /// The error of the call that failed. The lease stays with its progress then, so that the command
    /// goes on when it is run again.
    pub(super) async fn take_back(self) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        let outcome = self.act(&mut done).await;
        if let Err(error) = outcome {
            let (stage, mut details) = (self.stage, done);
            details.push(format!(
                "not all of it could be taken back ({}): run the same command again, which goes on, \
                 or `stagelink promote --to {stage} --abort`",
                error.report()
            ));
            return Err(Error::new(error.kind(), "it is not cleaned up").with_details(details));
        }
        if !self.progress.migrated_names.is_empty() {
            done.push(format!(
                "the migrations {} stay applied: code of before runs with them, and the next promotion \
                 goes on from there",
                self.progress.migrated_names.join(", ")
            ));
        }
        self.lease.release().await?;
        Ok(done)
    }

    /// Returns the error of a promotion that failed, with what was taken back and what stays.
    pub(super) async fn after_failure(self, error: Error) -> Error {
        if self.lease.is_lost() {
            let details =
                vec!["another command has the stage now, so nothing was taken back".to_owned()];
            return error.and_details(details);
        }
        match self.take_back().await {
            Ok(done) => error.and_details(done),
            Err(failed) => error.and_details(failed.details().collect()),
        }
    }

    async fn act(&self, done: &mut Vec<String>) -> Result<(), Error> {
        let new = self.find_deploy().await?;
        let published = self.site.read_published_deploy().await?;
        let published = published.map(|deploy| deploy.id);
        let is_live = new
            .as_ref()
            .is_some_and(|new| Some(&new.id) == published.as_ref());
        let stays = new.is_some() && self.progress.is_tested;
        match &new {
            Some(new) if stays && is_live => done.push(format!(
                "the deploy {} passed its tests and stays live; `stagelink rollback {}` takes it back",
                new.id, self.stage
            )),
            Some(new) if stays => done.push(format!(
                "the deploy {} passed its tests and was live, until another person or job published {}",
                new.id,
                published.as_deref().unwrap_or("none")
            )),
            Some(new) => self.remove(new, is_live, done).await?,
            None => {}
        }
        self.set_lock(new.as_ref(), done).await?;
        self.lease.fence().await?;
        let outcome = match (stays, self.progress.publishes) {
            (true, _) => DeployOutcome::Succeeded,
            (false, true) => DeployOutcome::Restored,
            (false, false) => DeployOutcome::Failed,
        };
        let id = new.as_ref().map(|new| new.id.as_str());
        let (record, migrated) = (self.progress.record, &self.progress.migrated);
        let lease = self.lease.handle();
        deploy_record::finish(self.database, lease, record, outcome, id, migrated).await
    }

    /// Deletes the new deploy, after the one before is published again where the new one is live.
    async fn remove(
        &self,
        new: &Deploy,
        is_live: bool,
        done: &mut Vec<String>,
    ) -> Result<(), Error> {
        let previous = &self.progress.previous;
        if is_live {
            self.site.publish(previous).await?;
            done.push(format!("the deploy {previous} is published again"));
        }
        // Netlify deletes none that is under way.
        if !new.is_ready() && !new.has_failed() {
            self.site.cancel_deploy(&new.id).await?;
        }
        // Before the lock goes: what unlocking publishes is not known.
        self.site.delete_deploy(&new.id).await?;
        done.push(format!("the deploy {} was deleted", new.id));
        Ok(())
    }

    /// Sets the site's lock as it was before. That of a deploy which another person or job has published
    /// is theirs.
    async fn set_lock(&self, new: Option<&Deploy>, done: &mut Vec<String>) -> Result<(), Error> {
        let Some(published) = self.site.read_published_deploy().await? else {
            return Ok(());
        };
        let (id, is_locked) = (&published.id, published.locked == Some(true));
        let is_known = *id == self.progress.previous || new.is_some_and(|new| new.id == *id);
        match (is_known, is_locked, self.progress.was_locked) {
            (true, false, true) => self.site.lock(id).await.map(|_| ())?,
            (true, true, false) => self.site.unlock(id).await.map(|_| ())?,
            (false, true, false) => {
                done.push(stays_locked(id));
                return Ok(());
            }
            _ => return Ok(()),
        }
        done.push("the site's lock is as it was".to_owned());
        Ok(())
    }

    /// Returns the new deploy, also where the answer to its creation was lost.
    async fn find_deploy(&self) -> Result<Option<Deploy>, Error> {
        if let Some(id) = &self.progress.deploy {
            return self.site.find_deploy(id).await;
        }
        let found = self.site.deploys_of_title(&self.progress.title).await?;
        Ok(found.into_iter().next())
    }
}

/// Returns the sentence about a lock that is not taken off, since it may be of another person or job.
pub(super) fn stays_locked(deploy: &str) -> String {
    format!(
        "the site is locked at the deploy {deploy}, which another person or job has published: take the \
         lock off in Netlify, unless they want it"
    )
}
