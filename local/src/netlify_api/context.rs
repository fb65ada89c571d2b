//! The deploy contexts, and their order of precedence.

use std::fmt;

/// The deploy context to which a value of an environment variable applies.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Context {
    /// All contexts without a value of their own.
    All,
    /// `netlify dev`, on a developer's machine.
    Dev,
    /// Netlify's development servers.
    DevServer,
    /// Deploys of branches, except the production branch and those of pull requests.
    BranchDeploy,
    /// Deploys of pull requests.
    DeployPreview,
    /// Deploys of the production branch.
    Production,
    /// Deploys of the branch with this name.
    Branch(String),
}

impl Context {
    /// Parses Netlify's name of a context and its parameter.
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

    /// Netlify's name of the context. It is `branch` for a branch of any name.
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

    /// Name of the branch.
    pub(super) fn parameter(&self) -> Option<&str> {
        match self {
            Self::Branch(branch) => Some(branch),
            _ => None,
        }
    }

    /// Returns the contexts whose values apply in this one, by precedence. A branch without a value
    /// of its own gets that of branch deploys.
    pub(super) fn by_precedence(&self) -> Vec<Self> {
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
