//! The deploy that a platform shows a stage's visitors now, whatever the records of deploys say.

use jiff::Timestamp;

use crate::promotion::deploy_record::DeployRecord;

/// The code that a platform publishes on a stage now. Beside the records of deploys it tells which code runs: a
/// person may publish another deploy by the platform's own means.
#[derive(Clone, Debug)]
pub struct PublishedCode {
    pub(crate) platform: CodePlatform,
    /// The deploy, or the reason why it is not known.
    pub(crate) found: Result<PublishedDeploy, String>,
}

/// A platform that serves code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodePlatform {
    Netlify,
    Lambda,
}

/// A deploy that a stage's visitors see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublishedDeploy {
    /// The id of the deploy, as records of deploys have it.
    pub(crate) id: String,
    /// The address at which its record file is; `None` where it has none.
    pub(crate) address: Option<String>,
    /// The time at which it was published, by the platform's clock; `None` where it does not tell.
    pub(crate) since: Option<Timestamp>,
}

impl PublishedCode {
    /// Returns the deploy, where it is another one than that of a record of the same platform.
    pub(crate) fn instead_of(&self, record: &DeployRecord) -> Option<&PublishedDeploy> {
        let found = self.found.as_ref().ok();
        let is_other = |found: &&PublishedDeploy| !record.is_of(&found.id);
        found.filter(|_| self.platform.has(record)).filter(is_other)
    }
}

impl CodePlatform {
    /// Returns whether the deploy of a record is on this platform.
    pub(crate) fn has(self, record: &DeployRecord) -> bool {
        // The versions on Lambda are written as `shop-guestbook:7`, and no id of Netlify has a colon.
        let is_on_lambda = |deploy: &String| deploy.contains(':');
        let on_lambda = record.deploy.as_ref().map(is_on_lambda);
        on_lambda.is_some_and(|on_lambda| on_lambda == (self == Self::Lambda))
    }

    /// Returns what the platform does with a deploy, before its name.
    pub(crate) fn publishes(self) -> &'static str {
        match self {
            Self::Netlify => "Netlify publishes",
            Self::Lambda => "the aliases on AWS Lambda point to",
        }
    }
}
