//! Deploys that Netlify builds itself from a commit of the site's repository.

use super::account::Account;
use super::context::Context;
use super::deploy_body::DeployBody;
use super::deploys::{BuiltCommit, DeployRecord, DeployState, new_id};
use crate::Error;

/// A commit that Netlify builds and deploys.
#[derive(Clone, Debug)]
pub struct GitBuild {
    /// The context of the deploy.
    pub context: Context,
    /// The branch of the commit.
    pub branch: String,
    /// The commit's id.
    pub commit: String,
    /// The title, which is the first line of the commit's message.
    pub title: String,
}

impl Account {
    /// Adds the deploy of a build, which is ready and empty. Returns its id.
    pub(super) fn build(&mut self, site: &str, build: GitBuild) -> Result<String, Error> {
        let site = self.find_site(site, "build a commit")?.id;
        let body = DeployBody::default().with_title(Some(build.title));
        let mut deploy = DeployRecord::new(site, &body, &build.context);
        deploy.context = build.context;
        deploy.commit = Some(BuiltCommit {
            branch: build.branch,
            commit: build.commit,
            build: new_id(),
        });
        deploy.state = DeployState::Ready;
        let id = deploy.id.clone();
        self.deploys.push(deploy);
        self.publish(&id);
        Ok(id)
    }
}
