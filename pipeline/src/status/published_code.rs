//! The look-up of what the platforms publish on a stage now, for the question which code runs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aws::{AwsAccess, Lambda};
use crate::netlify::{DeployContext, Site};
use crate::promotion::{
    CodePlatform, LiveFunction, PublishedCode, PublishedDeploy, look_at_aliases, versions_of,
};
use crate::status::deploy::DeployStatus;
use crate::status::lookup::{Lookup, within};
use crate::status::request::SiteSource;

impl PublishedCode {
    /// Looks up the deploy that a site shows to visitors of a context. `None` where the project has no site, or
    /// the stage has no deploy of its own there.
    pub async fn on_netlify(
        site: &SiteSource,
        context: &Result<DeployContext, String>,
        limit: Duration,
    ) -> Option<Self> {
        let context = context.as_ref().ok().filter(|context| {
            matches!(
                context,
                DeployContext::Production | DeployContext::Branch(_)
            )
        })?;
        let found = match site {
            SiteSource::Site { access, site } => {
                let look_up = async {
                    let site = Site::find(access, site, true).await?;
                    Ok(match context {
                        DeployContext::Branch(branch) => site.newest_deploy(branch).await?,
                        _ => site.published_deploy()?,
                    })
                };
                let found = within(limit, look_up).await;
                found.map(|deploy| deploy.map(DeployStatus::of))
            }
            SiteSource::None(_) => return None,
            SiteSource::NotKnown(reason) => {
                return Self::found(CodePlatform::Netlify, Err(reason.clone()));
            }
        };
        let found = found.map_err(|error| error.report()).transpose()?;
        Self::found(CodePlatform::Netlify, found.map(published_deploy))
    }

    /// Looks up the versions that a stage's aliases on AWS Lambda point to. `None` where no function is named,
    /// or none has the alias.
    pub async fn on_lambda(
        access: &Result<AwsAccess, String>,
        alias: &str,
        functions: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Option<Self> {
        if functions.is_empty() {
            return None;
        }
        let found = match access {
            Ok(access) => {
                let look_up = async {
                    let lambda = Lambda::connect(access).await?;
                    look_at_aliases(&lambda, alias, functions).await
                };
                within(limit, look_up).await.map_err(|error| error.report())
            }
            Err(reason) => Err(reason.clone()),
        };
        Self::of_aliases(found.as_deref().map_err(|reason| &**reason))
    }

    /// Returns the same of a status that was looked up.
    pub(super) fn of_status(code: &Lookup<DeployStatus>) -> Option<Self> {
        let found = match code {
            Lookup::Known { value } => Ok(published_deploy(value.clone())),
            Lookup::Absent { .. } => return None,
            Lookup::NotKnown { reason } => Err(reason.clone()),
        };
        Self::found(CodePlatform::Netlify, found)
    }

    /// Returns what the aliases of functions point to.
    pub(super) fn of_aliases(found: Result<&[LiveFunction], &str>) -> Option<Self> {
        let found = match found {
            Ok(functions) => Ok(PublishedDeploy {
                id: versions_of(functions).to_text()?,
                address: None,
                since: None,
            }),
            Err(reason) => Err(reason.to_owned()),
        };
        Self::found(CodePlatform::Lambda, found)
    }

    fn found(platform: CodePlatform, found: Result<PublishedDeploy, String>) -> Option<Self> {
        Some(Self { platform, found })
    }
}

fn published_deploy(deploy: DeployStatus) -> PublishedDeploy {
    PublishedDeploy {
        id: deploy.id,
        address: deploy.permalink.or(deploy.url),
        since: deploy.since.and_then(|time| time.parse().ok()),
    }
}
