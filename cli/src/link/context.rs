//! Netlify's deploy contexts, and the stages that they serve.

use std::fmt;

use anyhow::bail;
use serde::{Serialize, Serializer};
use stagelink::Stage;

/// A deploy context for which a variable may have a value of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Context {
    /// What the site's users see.
    Production,
    /// The deploys of one branch.
    Branch(String),
    /// Those of all other branches.
    BranchDeploy,
    /// The previews of pull requests.
    DeployPreview,
    /// All contexts that have no value of their own.
    All,
    /// One that is never linked, such as a developer's machine.
    Other(String),
}

impl Context {
    /// The context as the API writes it.
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

    /// The API's name for it, and the name of the branch.
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

    /// The contexts whose values hold in this one, the closest first.
    pub(crate) fn closest_first(&self) -> Vec<Self> {
        match self {
            Self::Branch(_) => vec![self.clone(), Self::BranchDeploy, Self::All],
            Self::All => vec![Self::All],
            _ => vec![self.clone(), Self::All],
        }
    }
}

impl fmt::Display for Context {
    /// As the Netlify command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(branch) => write!(f, "branch:{branch}"),
            _ => f.write_str(self.name().0),
        }
    }
}

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which contexts are linked, each with its stage.
///
/// `dev` is never one: what runs on a developer's machine has `stagelink dev`. Branches
/// without a stage of their own are previews: without a value they would say that no stage
/// is known, which is as safe and explains less.
pub(crate) fn linked(
    stages: &[Stage],
    staging_branch: &str,
    other_branches: bool,
) -> anyhow::Result<Vec<(Context, Stage)>> {
    // The Netlify command line takes these for contexts, where a branch is meant.
    let is_context = |name| !matches!(Context::parse(name, None), Context::Other(_));
    if staging_branch.is_empty() || is_context(staging_branch) || staging_branch == "dev" {
        bail!("{staging_branch:?} is no branch that a deploy context can be of");
    }
    let mut linked = Vec::new();
    for stage in Stage::ALL.into_iter().rev() {
        if !stages.contains(&stage) {
            continue;
        }
        match stage {
            Stage::Production => linked.push((Context::Production, stage)),
            Stage::Staging => linked.push((Context::Branch(staging_branch.to_owned()), stage)),
            Stage::Review => {
                linked.push((Context::DeployPreview, stage));
                if other_branches {
                    linked.push((Context::BranchDeploy, stage));
                }
            }
            _ => bail!("stage {stage} has no deploy context: link production, staging or review"),
        }
    }
    Ok(linked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_its_contexts() {
        let all = [Stage::Review, Stage::Staging, Stage::Production];
        let names = |stages: &[Stage], others| -> Vec<String> {
            let linked = linked(stages, "next", others).unwrap();
            linked.iter().map(|(c, s)| format!("{c}={s}")).collect()
        };
        assert_eq!(
            names(&all, true),
            [
                "production=production",
                "branch:next=staging",
                "deploy-preview=review",
                "branch-deploy=review"
            ]
        );
        assert_eq!(names(&[Stage::Review], false), ["deploy-preview=review"]);
    }

    #[test]
    fn branch_that_is_called_like_a_context_is_refused() {
        for name in ["production", "dev", "all", "deploy-preview", ""] {
            assert!(linked(&[Stage::Staging], name, true).is_err(), "{name}");
        }
        assert!(linked(&[Stage::Development], "staging", true).is_err());
    }

    #[test]
    fn context_is_written_as_it_is_read() {
        for (name, branch) in [("branch", Some("x")), ("all", None), ("dev", None)] {
            assert_eq!(Context::parse(name, branch).name(), (name, branch));
        }
    }
}
