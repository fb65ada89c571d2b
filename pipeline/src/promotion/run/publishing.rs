//! The steps at the published deploy: its lock, the looks at it, and the change to the new one.

use super::Run;
use crate::error::{Error, ErrorKind};
use crate::netlify::Deploy;
use crate::promotion::take_back::stays_locked;

impl Run<'_> {
    pub(super) async fn lock(&mut self) -> Result<String, Error> {
        if self.progress.publishes {
            return Ok("published by an earlier run".to_owned());
        }
        let previous = &self.progress.previous;
        // A lock of before may be gone since the plan was made.
        if self.ensure_published(previous).await?.locked == Some(true) {
            return Ok("is locked".to_owned());
        }
        self.site().lock(previous).await?;
        Ok(format!("deploy {previous} stays published"))
    }

    pub(super) async fn look_again(&mut self) -> Result<String, Error> {
        if self.progress.publishes {
            return Ok("published by an earlier run".to_owned());
        }
        let previous = &self.progress.previous;
        self.ensure_published(previous).await?;
        Ok(format!("{previous} is published"))
    }

    /// Makes sure that no other person or job has published a deploy since the plan was made. Returns the
    /// published one.
    async fn ensure_published(&self, previous: &str) -> Result<Deploy, Error> {
        let published = self.site().read_published_deploy().await?;
        let published = published.unwrap_or_default();
        let id = &published.id;
        if id == previous {
            return Ok(published);
        }
        let message = match self.new_deploy.as_ref().is_some_and(|new| new.id == *id) {
            true => format!(
                "Netlify has published the deploy {id} before it was tested: another person or job has \
                 taken the lock off"
            ),
            false => format!(
                "another person or job has published the deploy {id} since the plan was made (then it was \
                 {previous})"
            ),
        };
        Err(Error::new(ErrorKind::Busy, message))
    }

    /// Makes sure that the new deploy does not go live by being ready.
    pub(super) async fn ensure_locked(&self) -> Result<(), Error> {
        let published = self.ensure_published(&self.progress.previous).await?;
        match published.locked {
            Some(true) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "another person or job has taken off the lock of the deploy {}, which keeps an untested \
                     one from going live",
                    published.id
                ),
            )),
        }
    }

    pub(super) async fn publish(&mut self) -> Result<String, Error> {
        let id = self.new_deploy()?.id.clone();
        let published = self.site().read_published_deploy().await?;
        let mut published = published.unwrap_or_default();
        if published.id != id {
            // Also where an earlier run was about to publish it: another one may be published since.
            self.ensure_published(&self.progress.previous).await?;
            self.progress.publishes = true;
            self.save().await?;
            published = self.site().publish(&id).await?;
        }
        if self.progress.was_locked && published.locked != Some(true) {
            self.site().lock(&id).await?;
        }
        Ok(format!("{id} is live"))
    }

    pub(super) async fn clean_up(&mut self) -> Result<String, Error> {
        let id = self.new_deploy()?.id.clone();
        if !self.progress.was_locked {
            if let Err(error) = self.name_pushes(&id).await {
                self.notes.push(format!(
                    "whether other deploys got ready meanwhile is not known: {}",
                    error.report()
                ));
            }
            let site = self.site();
            for locked in [&id, &self.progress.previous] {
                let deploy = site.find_deploy(locked).await?;
                if deploy.is_some_and(|deploy| deploy.locked == Some(true)) {
                    self.lease.fence().await?;
                    site.unlock(locked).await?;
                }
            }
            let published = site.read_published_deploy().await?;
            let published = published.unwrap_or_default();
            let now = &published.id;
            if *now != id {
                self.is_replaced = true;
                self.notes.push(format!(
                    "the deploy {now} is published by now in place of {id}: by another person or job, or \
                     by Netlify as the lock was taken off"
                ));
            }
            if published.locked == Some(true) {
                self.notes.push(stays_locked(now));
            }
        }
        Ok(match self.progress.was_locked {
            true => "the site stays locked".to_owned(),
            false => "the site publishes again".to_owned(),
        })
    }

    /// Notes the deploys that got ready for production meanwhile, such as that of a push.
    async fn name_pushes(&mut self, own: &str) -> Result<(), Error> {
        let since = self.new_deploy()?.created_at.clone().unwrap_or_default();
        let newer = self.site().production_deploys_since(&since).await?;
        for deploy in newer.iter().filter(|deploy| deploy.id != own) {
            self.notes.push(format!(
                "the deploy {} ({}) got ready meanwhile and was not published: Netlify may publish it \
                 now, and it was not tested",
                deploy.id,
                deploy.title.as_deref().unwrap_or("without a title"),
            ));
        }
        Ok(())
    }
}
