//! Publishing: which deploy a site's visitors see, the lock that keeps it, and the deploys that end.

use jiff::Timestamp;
use uuid::Uuid;

use super::account::Account;
use super::api_error::ApiError;
use super::context::Context;
use super::deploys::{DeployRecord, DeployState};
use super::undocumented::LockAfterRestore;

impl Account {
    /// Publishes a deploy that has become ready, unless it is a draft. One of production is not
    /// published while the published one is locked; it stays ready.
    pub(super) fn publish(&mut self, id: &str) {
        let Some(deploy) = self.deploys.iter_mut().find(|deploy| deploy.id == id) else {
            return;
        };
        if deploy.draft || deploy.published_at.is_some() {
            return;
        }
        let (id, site) = (deploy.id.clone(), deploy.site);
        if deploy.context != Context::Production {
            deploy.published_at = Some(Timestamp::now());
        } else if self.record(site).is_ok_and(|site| !site.is_locked) {
            self.replace_published(site, &id);
        }
    }

    /// Publishes an existing deploy of a site.
    ///
    /// # Errors
    ///
    /// 404 if the site has no such deploy; 422 if it is not ready, and if it is of another context
    /// than production, unless [`restores_any_context`] allows it.
    ///
    /// [`restores_any_context`]: super::undocumented::Undocumented::restores_any_context
    pub(super) fn restore(&mut self, site: Uuid, id: &str) -> Result<(), ApiError> {
        let deploy = self.deploy_of(site, id)?;
        if deploy.state != DeployState::Ready {
            return Err(ApiError::invalid("the deploy is not ready"));
        }
        let is_production = deploy.context == Context::Production && !deploy.draft;
        if !is_production && !self.undocumented.restores_any_context {
            let message = "the deploy is a draft or of another context than production";
            return Err(ApiError::invalid(message));
        }
        self.replace_published(site, id);
        if self.undocumented.lock_after_restore == LockAfterRestore::Released {
            self.record(site)?.is_locked = false;
        }
        Ok(())
    }

    /// Publishes the deploy that a site had before the published one, as [`restore`](Self::restore)
    /// does.
    ///
    /// # Errors
    ///
    /// 422 if there was none, or if it does not exist any more.
    pub(super) fn roll_back(&mut self, site: Uuid) -> Result<(), ApiError> {
        let record = self.record(site)?;
        let current = record.published().map(str::to_owned);
        let mut earlier = record.publications.iter().rev();
        let previous = earlier
            .find(|id| Some(id.as_str()) != current.as_deref())
            .cloned();
        let previous = previous
            .filter(|id| self.deploy(id).is_some())
            .ok_or_else(|| ApiError::invalid("there is no previous deploy to roll back to"))?;
        self.restore(site, &previous)
    }

    /// Locks or unlocks a deploy.
    ///
    /// # Errors
    ///
    /// 404 if there is no such deploy, 422 if it is not the published one.
    pub(super) fn set_lock(&mut self, id: &str, is_locked: bool) -> Result<(), ApiError> {
        let site = self.deploy(id).ok_or_else(ApiError::not_found)?.site;
        let record = self.record(site)?;
        if record.published() != Some(id) {
            return Err(ApiError::invalid("the deploy is not the published one"));
        }
        let was_locked = std::mem::replace(&mut record.is_locked, is_locked);
        if was_locked && !is_locked && self.undocumented.unlock_publishes_newest {
            let is_candidate = |deploy: &&DeployRecord| {
                deploy.site == site
                    && deploy.state == DeployState::Ready
                    && deploy.context == Context::Production
                    && !deploy.draft
            };
            let newest = self.deploys.iter().rev().find(is_candidate);
            if let Some(newest) = newest.map(|deploy| deploy.id.clone()) {
                self.replace_published(site, &newest);
            }
        }
        Ok(())
    }

    /// Deletes a deploy.
    ///
    /// # Errors
    ///
    /// 404 if there is no such deploy, 422 for the published one and one in progress.
    pub(super) fn delete_deploy(&mut self, id: &str) -> Result<(), ApiError> {
        let deploy = self.deploy(id).ok_or_else(ApiError::not_found)?;
        if deploy.state.is_in_progress() {
            return Err(ApiError::invalid("the deploy is in progress"));
        }
        if self.remove_deploy(id) {
            Ok(())
        } else {
            Err(ApiError::invalid("the deploy is published"))
        }
    }

    /// Lets a site have no published deploy. Returns false if there is no such site.
    pub(super) fn unpublish(&mut self, name: &str) -> bool {
        let mut sites = self.sites.iter_mut();
        let Some(site) = sites.find(|site| site.name == name) else {
            return false;
        };
        site.publications.clear();
        true
    }

    /// Removes a deploy, unless it is published. Returns false if nothing was removed.
    pub(super) fn remove_deploy(&mut self, id: &str) -> bool {
        let is_published = self.sites.iter().any(|site| site.published() == Some(id));
        let before = self.deploys.len();
        self.deploys
            .retain(|deploy| deploy.id != id || is_published);
        self.deploys.len() < before
    }

    /// Returns a deploy of a site.
    pub(super) fn deploy_of(&self, site: Uuid, id: &str) -> Result<&DeployRecord, ApiError> {
        self.deploy(id)
            .filter(|deploy| deploy.site == site)
            .ok_or_else(ApiError::not_found)
    }

    /// Returns the deploy with this id.
    pub(super) fn deploy(&self, id: &str) -> Option<&DeployRecord> {
        self.deploys.iter().find(|deploy| deploy.id == id)
    }

    /// Makes a deploy the published one. A lock of the site stays, and belongs to it from now on.
    fn replace_published(&mut self, site: Uuid, id: &str) {
        let Ok(record) = self.record(site) else {
            return;
        };
        if record.published() == Some(id) {
            return;
        }
        record.publications.push(id.to_owned());
        if let Some(deploy) = self.deploys.iter_mut().find(|deploy| deploy.id == id) {
            deploy.published_at = Some(Timestamp::now());
        }
    }
}
