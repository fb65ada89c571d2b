//! Takes back what a promotion did that does not come to its end: the deploy that was published
//! before, the lock as it was, and the lease.

use stagelink::{Database, Stage};

use crate::error::Error;
use crate::netlify::Site;
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
        let previous = &self.progress.previous;
        let new = self.find_deploy().await?;
        if let Some(new) = &new {
            let published = self.site.read_published_deploy().await?;
            let is_live = published.is_some_and(|deploy| deploy.id == *new);
            if is_live {
                self.lease.fence().await?;
                self.site.restore(previous).await?;
                done.push(format!("the deploy {previous} is published again"));
            }
            // What unlocking would publish is not known, so it goes first.
            self.lease.fence().await?;
            self.site.delete_deploy(new).await?;
            done.push(format!("the deploy {new} was deleted"));
        }
        let before = self.site.find_deploy(previous).await?;
        let is_locked = before.is_some_and(|deploy| deploy.locked == Some(true));
        if is_locked != self.progress.was_locked {
            self.lease.fence().await?;
            match self.progress.was_locked {
                true => self.site.lock(previous).await?,
                false => self.site.unlock(previous).await?,
            };
            done.push("the site's lock is as it was".to_owned());
        }
        self.lease.fence().await?;
        let outcome = match self.progress.publishes {
            true => DeployOutcome::Restored,
            false => DeployOutcome::Failed,
        };
        let (record, migrated) = (self.progress.record, &self.progress.migrated);
        deploy_record::finish(self.database, record, outcome, new.as_deref(), migrated).await
    }

    /// Returns the new deploy's id, also where the answer to its creation was lost.
    async fn find_deploy(&self) -> Result<Option<String>, Error> {
        if let Some(id) = &self.progress.deploy {
            let deploy = self.site.find_deploy(id).await?;
            return Ok(deploy.map(|deploy| deploy.id));
        }
        let found = self.site.deploys_of_title(&self.progress.title).await?;
        Ok(found.into_iter().next().map(|deploy| deploy.id))
    }
}
