//! The end of a deploy: it becomes ready when all of its uploads are there, and is published.

use super::NetlifyApi;
use super::account::Account;
use super::deploys::DeployState;
use super::env_vars::EnvScope;

impl Account {
    /// Makes a deploy ready and publishes it, if nothing that it declared is missing.
    pub(super) fn complete(&mut self, id: &str) {
        let store = &self.store;
        let mut deploys = self.deploys.iter_mut();
        let Some(deploy) = deploys.find(|deploy| deploy.id == id && deploy.is_complete(store))
        else {
            return;
        };
        if let Some(message) = self.failures.pop_front() {
            deploy.state = DeployState::Error;
            deploy.error_message = Some(message);
        } else if self.holds_deploys {
            deploy.state = DeployState::Processing;
        } else {
            self.make_ready(id);
        }
    }

    /// Makes the deploys ready that were held, in the order of their creation.
    pub(super) fn release_held(&mut self) {
        let held = self.deploys.iter();
        let held: Vec<_> = held
            .filter(|deploy| deploy.state == DeployState::Processing)
            .map(|deploy| deploy.id.clone())
            .collect();
        for id in held {
            self.make_ready(&id);
        }
    }

    /// Makes a deploy ready with the environment that its functions keep, and publishes it.
    fn make_ready(&mut self, id: &str) {
        let Some(deploy) = self.deploys.iter_mut().find(|deploy| deploy.id == id) else {
            return;
        };
        let scope = EnvScope::Functions;
        deploy.state = DeployState::Ready;
        deploy.environment = self.variables.environment(&deploy.context, scope);
        if let Some(site) = self.sites.iter().find(|site| site.id == deploy.site) {
            let own = site.variables.environment(&deploy.context, scope);
            deploy.environment.extend(own);
            deploy.own_environment.merge_into(&mut deploy.environment);
            site.extend_environment(&mut deploy.environment);
        }
        self.publish(id);
    }
}

impl NetlifyApi {
    /// Sets whether deploys whose uploads are complete stay in the state `processing`. With false,
    /// those that stayed there become ready now.
    pub fn set_holds_deploys(&self, holds: bool) {
        let mut account = self.state.account();
        account.holds_deploys = holds;
        if !holds {
            account.release_held();
        }
    }

    /// Makes the next deploy whose uploads are complete end in the state `error` with this message.
    /// After several calls as many deploys do.
    pub fn fail_next_deploy(&self, message: &str) {
        self.state.account().failures.push_back(message.to_owned());
    }
}
