//! The deploys and the variables of a project's Netlify site.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;

use crate::error::Error;
use crate::netlify::{DeployContext, Site, Variable};
use crate::status::deploy::DeployStatus;
use crate::status::lookup::{Lookup, within};
use crate::status::request::SiteSource;

/// The parts of a site that a status shows.
#[derive(Debug)]
pub(super) struct SiteFacts {
    pub(super) name: String,
    published: Lookup<DeployStatus>,
    /// The newest ready deploy of each branch.
    branches: BTreeMap<String, Lookup<DeployStatus>>,
    pub(super) own: Lookup<Vec<Variable>>,
    /// The variables of its account.
    pub(super) account: Lookup<Vec<Variable>>,
}

/// Looks a site up, with the newest deploys of these branches: a request for the site (two where it
/// is named and Netlify wants its id), a request for each branch, and two for the variables.
pub(super) async fn look_up(
    source: &SiteSource,
    branches: &BTreeSet<String>,
    limit: Duration,
) -> Lookup<SiteFacts> {
    let (access, site) = match source {
        SiteSource::Site { access, site } => (access, site),
        SiteSource::None(reason) => return Lookup::absent(reason),
        SiteSource::NotKnown(reason) => return Lookup::not_known(reason),
    };
    let site = match within(limit, Site::find(access, site, true)).await {
        Ok(site) => site,
        Err(error) => return Lookup::not_known(error.report()),
    };
    let deploys = branches.iter().map(async |branch| {
        let found = within(limit, site.newest_deploy(branch)).await;
        let missing = || format!("branch {branch} has no ready deploy");
        (branch.clone(), deploy(found, missing))
    });
    let (deploys, own, account) = tokio::join!(
        join_all(deploys),
        within(limit, site.variables()),
        within(limit, site.account_variables()),
    );
    Lookup::known(SiteFacts {
        name: site.name().to_owned(),
        published: deploy(site.published_deploy(), || {
            "the site has no published deploy".to_owned()
        }),
        branches: deploys.into_iter().collect(),
        own: Lookup::of(own),
        account: match account {
            Ok(Some(variables)) => Lookup::known(variables),
            Ok(None) => Lookup::not_known(format!(
                "the token has no access to the variables of the account {}",
                site.account()
            )),
            Err(error) => Lookup::not_known(error.report()),
        },
    })
}

fn deploy(
    found: Result<Option<crate::netlify::Deploy>, Error>,
    missing: impl FnOnce() -> String,
) -> Lookup<DeployStatus> {
    match found {
        Ok(Some(deploy)) => Lookup::known(DeployStatus::of(deploy)),
        Ok(None) => Lookup::absent(missing()),
        Err(error) => Lookup::not_known(error.report()),
    }
}

impl SiteFacts {
    /// Returns the deploy that serves a context.
    pub(super) fn deploy_of(&self, context: &DeployContext) -> Lookup<DeployStatus> {
        match context {
            DeployContext::Production => self.published.clone(),
            DeployContext::Branch(branch) => {
                let found = self.branches.get(branch).cloned();
                found.unwrap_or_else(|| Lookup::absent("the branch was not looked up"))
            }
            DeployContext::DeployPreview => Lookup::absent("each pull request has its own deploy"),
            _ => Lookup::absent(format!("the context {context} has no deploy of its own")),
        }
    }
}
