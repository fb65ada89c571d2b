//! Takes back what a promotion did that does not come to its end: the deploy that was published
//! before, the lock as it was, and the lease.

use stagelink::{Database, Stage};

use crate::error::{Error, ErrorKind};
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

/// The end of a command whose deploy of before is gone, so that the new one has to stay live untested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhereGone {
    /// The command ends with an error, and goes on when it is run again.
    Stops,
    /// The stage is freed, and the new deploy stays live: a person has been told, and wants it.
    Frees,
}

impl Unfinished<'_> {
    /// Takes it back, and returns a sentence for each thing that was done or that stays.
    ///
    /// # Errors
    ///
    /// The error of the call that failed. The lease stays with its progress then, so that the command
    /// goes on when it is run again.
    pub(super) async fn take_back(self, where_gone: WhereGone) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        let outcome = self.act(where_gone, &mut done).await;
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
        done.extend(self.lease.release().await?.warning());
        Ok(done)
    }

    /// Returns the error of a promotion that failed, with what was taken back and what stays.
    pub(super) async fn after_failure(self, error: Error) -> Error {
        if self.lease.is_lost() {
            let details =
                vec!["another command has the stage now, so nothing was taken back".to_owned()];
            return error.and_details(details);
        }
        match self.take_back(WhereGone::Stops).await {
            Ok(done) => error.and_details(done),
            Err(failed) => error.and_details(failed.details().collect()),
        }
    }

    async fn act(&self, where_gone: WhereGone, done: &mut Vec<String>) -> Result<(), Error> {
        let new = self.find_deploy().await?;
        let published = self.site.read_published_deploy().await?;
        let published = published.map(|deploy| deploy.id);
        let is_live = new
            .as_ref()
            .is_some_and(|new| Some(&new.id) == published.as_ref());
        let mut outcome = match (where_gone, self.progress.publishes) {
            // A person takes it back.
            (WhereGone::Frees, _) => DeployOutcome::Aborted,
            (WhereGone::Stops, true) => DeployOutcome::Restored,
            (WhereGone::Stops, false) => DeployOutcome::Failed,
        };
        match &new {
            Some(new) if self.progress.is_tested => {
                outcome = DeployOutcome::Succeeded;
                done.push(self.stays(new, published.as_deref().filter(|id| *id != new.id)));
            }
            Some(new) if is_live && self.is_previous_gone().await? => {
                let untested = self.untested(new);
                if where_gone == WhereGone::Stops {
                    return Err(Error::new(ErrorKind::Promotion, untested));
                }
                outcome = DeployOutcome::Untested;
                done.push(untested);
            }
            Some(new) => self.remove(new, is_live, done).await?,
            None => {}
        }
        self.set_lock(new.as_ref(), done).await?;
        let id = new.as_ref().map(|new| new.id.as_str());
        let (record, migrated) = (self.progress.record, &self.progress.migrated);
        let lease = self.lease.handle();
        deploy_record::finish(self.database, lease, record, outcome, id, migrated).await
    }

    /// Returns whether Netlify has the deploy that was published before no longer.
    async fn is_previous_gone(&self) -> Result<bool, Error> {
        let previous = self.site.find_deploy(&self.progress.previous).await?;
        Ok(previous.is_none())
    }

    /// Returns the sentence about a deploy that passed its tests. `other` is published in its place.
    fn stays(&self, new: &Deploy, other: Option<&str>) -> String {
        match other {
            None => format!(
                "the deploy {} passed its tests and stays live; `stagelink rollback {}` takes it back",
                new.id, self.stage
            ),
            Some(other) => format!(
                "the deploy {} passed its tests and was live, until another person or job published \
                 {other}",
                new.id
            ),
        }
    }

    /// Returns the sentence about a deploy that is live without having passed its tests, since nothing can
    /// take its place, with the ways on.
    fn untested(&self, new: &Deploy) -> String {
        let (stage, previous) = (self.stage, &self.progress.previous);
        format!(
            "the deploy {} is live and has not passed its test, and Netlify has the deploy {previous} of \
             before no longer. `stagelink rollback {stage} --to DEPLOY` publishes another one of \
             `stagelink history {stage}`, and `stagelink deploy {stage}` makes a new one, both once \
             `stagelink promote --to {stage} --abort` has freed the stage",
            new.id
        )
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
