//! The deploy contexts, and which of several values holds in one.

use std::fmt;

/// Where a value of an environment variable holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Context {
    /// Everywhere that no other value is for.
    All,
    /// `netlify dev`, on a developer's machine.
    Dev,
    /// Netlify's development servers.
    DevServer,
    /// Deploys of any branch that is neither the production branch nor a pull request's.
    BranchDeploy,
    /// Deploys of pull requests.
    DeployPreview,
    /// Deploys of the production branch.
    Production,
    /// Deploys of the branch with this name.
    Branch(String),
}

impl Context {
    /// The context by Netlify's name for it and the parameter beside it.
    pub(super) fn parse(name: &str, parameter: Option<&str>) -> Option<Self> {
        Some(match (name, parameter) {
            ("all", _) => Self::All,
            ("dev", _) => Self::Dev,
            ("dev-server", _) => Self::DevServer,
            ("branch-deploy", _) => Self::BranchDeploy,
            ("deploy-preview", _) => Self::DeployPreview,
            ("production", _) => Self::Production,
            ("branch", Some(branch)) if !branch.is_empty() => Self::Branch(branch.to_owned()),
            _ => return None,
        })
    }

    /// Netlify's name for it: that of a branch is `branch`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Dev => "dev",
            Self::DevServer => "dev-server",
            Self::BranchDeploy => "branch-deploy",
            Self::DeployPreview => "deploy-preview",
            Self::Production => "production",
            Self::Branch(_) => "branch",
        }
    }

    /// The branch's name.
    pub(super) fn parameter(&self) -> Option<&str> {
        match self {
            Self::Branch(branch) => Some(branch),
            _ => None,
        }
    }

    /// The contexts whose values hold here, the closest first. A branch without a value of
    /// its own is a branch deploy.
    pub(super) fn closest_first(&self) -> Vec<Self> {
        match self {
            Self::All => vec![Self::All],
            Self::Branch(_) => vec![self.clone(), Self::BranchDeploy, Self::All],
            _ => vec![self.clone(), Self::All],
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(branch) => write!(f, "branch:{branch}"),
            _ => f.write_str(self.name()),
        }
    }
}
