//! Netlify's deploy contexts.

use std::fmt;

use serde::{Serialize, Serializer};

/// A deploy context, for which a variable can have a value of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DeployContext {
    /// The deploys that the site's users see.
    Production,
    /// The deploys of one branch.
    Branch(String),
    /// The deploys of all other branches.
    BranchDeploy,
    /// The previews of pull requests.
    DeployPreview,
    /// All contexts in which a variable has no value of its own.
    All,
    /// Any other context, such as `dev`, a developer's machine.
    Other(String),
}

impl DeployContext {
    /// Parses a context as the API writes it: its name, and the branch.
    pub(crate) fn parse(name: &str, parameter: Option<&str>) -> Self {
        match (name, parameter) {
            ("production", _) => Self::Production,
            ("branch", Some(branch)) => Self::Branch(branch.to_owned()),
            ("branch-deploy", _) => Self::BranchDeploy,
            ("deploy-preview", _) => Self::DeployPreview,
            ("all", _) => Self::All,
            _ => Self::Other(name.to_owned()),
        }
    }

    /// The API's name of the context, and the branch.
    pub(crate) fn name(&self) -> (&str, Option<&str>) {
        match self {
            Self::Production => ("production", None),
            Self::Branch(branch) => ("branch", Some(branch)),
            Self::BranchDeploy => ("branch-deploy", None),
            Self::DeployPreview => ("deploy-preview", None),
            Self::All => ("all", None),
            Self::Other(name) => (name, None),
        }
    }

    /// The contexts whose values apply in this one, the closest first.
    pub(crate) fn closest_first(&self) -> Vec<Self> {
        match self {
            Self::Branch(_) => vec![self.clone(), Self::BranchDeploy, Self::All],
            Self::All => vec![Self::All],
            _ => vec![self.clone(), Self::All],
        }
    }
}

impl fmt::Display for DeployContext {
    /// Writes the context as the Netlify command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(branch) => write!(f, "branch:{branch}"),
            _ => f.write_str(self.name().0),
        }
    }
}

impl Serialize for DeployContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_written_as_it_is_read() {
        for (name, branch) in [("branch", Some("x")), ("all", None), ("dev", None)] {
            assert_eq!(DeployContext::parse(name, branch).name(), (name, branch));
        }
    }
}
