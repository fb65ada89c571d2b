//! Publishing: which deploy a site's visitors see, and the lock that keeps it.

use jiff::Timestamp;

use super::account::Account;
use super::api_error::ApiError;
use super::context::Context;
use super::deploys::{DeployRecord, DeployState};

impl Account {
    /// Publishes a deploy that has become ready, unless it is a draft. One of production is not
    /// published while the published one is locked; it stays ready.
    pub(super) fn publish(&mut self, id: &str) {
        let Some(deploy) = self.deploys.iter().find(|deploy| deploy.id == id) else {
            return;
        };
        let (site, is_production) = (deploy.site, deploy.context == Context::Production);
        if deploy.draft || deploy.published_at.is_some() {
            return;
        }
        let published = self.sites.iter().find(|stored| stored.id == site);
        let published = published.and_then(|site| site.published.clone());
        let is_locked = self
            .deploys
            .iter()
            .any(|deploy| Some(&deploy.id) == published.as_ref() && deploy.locked);
        if is_production && is_locked {
            return;
        }
        if let Some(deploy) = self.deploys.iter_mut().find(|deploy| deploy.id == id) {
            deploy.published_at = Some(Timestamp::now());
        }
        if let Some(site) = self.sites.iter_mut().find(|stored| stored.id == site)
            && is_production
        {
            site.published = Some(id.to_owned());
        }
    }

    /// Locks or unlocks a deploy.
    pub(super) fn set_lock(&mut self, id: &str, is_locked: bool) -> Result<(), ApiError> {
        let deploy = self.deploys.iter_mut().find(|deploy| deploy.id == id);
        let deploy = deploy.ok_or_else(ApiError::not_found)?;
        if deploy.state != DeployState::Ready {
            return Err(ApiError::invalid("the deploy is not ready"));
        }
        deploy.locked = is_locked;
        Ok(())
    }

    /// The deploy that a site's visitors see.
    pub(super) fn published(&self, id: &str) -> Option<&DeployRecord> {
        self.deploys.iter().find(|deploy| deploy.id == id)
    }
}
