//! The stages of a project, as a link needs them: their branches, and which ones are compared.

use std::collections::{BTreeMap, BTreeSet};

use stagelink::{Stage, StageKind};

use crate::error::{Error, ErrorKind};
use crate::netlify::DeployContext;
use crate::settings_file::SettingsFile;

/// The stages of a project of the kinds production and staging, linked or not. By default those that
/// are called after these kinds, with the branch `staging`.
#[derive(Clone, Debug)]
pub struct ProjectStages {
    /// The stages whose databases linked ones are compared with, production first.
    compared: Vec<Stage>,
    /// The branches of stages of kind staging.
    branches: BTreeMap<Stage, String>,
}

impl Default for ProjectStages {
    fn default() -> Self {
        let stages = [(Stage::PRODUCTION, None), (Stage::STAGING, None)];
        Self::new(stages)
    }
}

impl ProjectStages {
    /// Takes the stages of `stagelink.toml`. Of a kind without one it is the stage that is called
    /// after the kind.
    pub fn of_file(file: &SettingsFile) -> Self {
        let stages = file.stages().iter();
        Self::new(stages.map(|(stage, settings)| (*stage, settings.branch())))
    }

    fn new<'a>(stages: impl IntoIterator<Item = (Stage, Option<&'a str>)>) -> Self {
        let mut branches: BTreeMap<Stage, String> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for (stage, branch) in stages {
            known.insert(stage);
            if let Some(branch) = branch {
                branches.insert(stage, branch.to_owned());
            }
        }
        let mut compared = Vec::new();
        for kind in [StageKind::Production, StageKind::Staging] {
            let of_kind = known.iter().filter(|stage| stage.kind() == kind);
            let before = compared.len();
            compared.extend(of_kind.copied());
            if compared.len() == before {
                compared.push(kind.into());
            }
        }
        Self { compared, branches }
    }

    /// Sets the branch of a stage of kind staging.
    #[must_use]
    pub fn with_branch(mut self, stage: Stage, branch: impl Into<String>) -> Self {
        self.branches.insert(stage, branch.into());
        self
    }

    /// Returns whether a stage's database is compared with those of linked stages.
    pub fn is_compared(&self, stage: Stage) -> bool {
        self.compared.contains(&stage)
    }

    /// Returns the deploy contexts of stages, production's first. With `other_branches` the deploys
    /// of other branches have a stage, too: that of previews.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] for a stage that has no deploy context, for two stages that would
    /// share one, and for a branch that is called like a context.
    pub fn contexts(
        &self,
        stages: &[Stage],
        other_branches: bool,
    ) -> Result<Vec<(DeployContext, Stage)>, Error> {
        for branch in self.branches.values() {
            ensure_branch(branch)?;
        }
        let mut stages = stages.to_vec();
        stages.sort_by(|one, other| {
            let kinds = other.kind().cmp(&one.kind());
            kinds.then_with(|| one.cmp(other))
        });
        stages.dedup();
        let mut contexts = Vec::new();
        for stage in stages {
            match stage.kind() {
                StageKind::Production => contexts.push((DeployContext::Production, stage)),
                StageKind::Staging => {
                    let branch = self.branch(&stage).to_owned();
                    contexts.push((DeployContext::Branch(branch), stage));
                }
                StageKind::Review => {
                    contexts.push((DeployContext::DeployPreview, stage));
                    if other_branches {
                        contexts.push((DeployContext::BranchDeploy, stage));
                    }
                }
                _ => {
                    return Err(Error::new(
                        ErrorKind::Settings,
                        format!(
                            "stage {stage} has no deploy context: link production, staging or \
                             review"
                        ),
                    ));
                }
            }
        }
        self.ensure_distinct(&contexts)?;
        Ok(contexts)
    }

    /// Makes sure that no two stages have one context: not a linked one and one that is left as it
    /// is, either.
    fn ensure_distinct(&self, contexts: &[(DeployContext, Stage)]) -> Result<(), Error> {
        let others = self.compared.iter().copied();
        let others = others.filter(|stage| stage.kind() == StageKind::Staging);
        let others = others.map(|stage| {
            let branch = self.branch(&stage).to_owned();
            (DeployContext::Branch(branch), stage)
        });
        let mut seen: BTreeMap<DeployContext, Stage> = BTreeMap::new();
        for (context, stage) in contexts.iter().cloned().chain(others) {
            let Some(other) = seen.insert(context.clone(), stage) else {
                continue;
            };
            if other != stage {
                let advice = match context {
                    DeployContext::Branch(_) => "give each its own branch",
                    _ => "choose one of them with --stage",
                };
                return Err(Error::new(
                    ErrorKind::Settings,
                    format!(
                        "stages {} and {} have one deploy context, {context}: {advice}",
                        other.name(),
                        stage.name()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The stages whose databases linked ones are compared with, whether they are linked or not.
    pub(super) fn compared(&self) -> &[Stage] {
        &self.compared
    }

    /// The stages of kind production.
    pub(super) fn productions(&self) -> impl Iterator<Item = Stage> {
        let stages = self.compared.iter().copied();
        stages.filter(|stage| stage.kind() == StageKind::Production)
    }

    /// The branch of a stage of kind staging: by default its name.
    pub(super) fn branch<'a>(&'a self, stage: &'a Stage) -> &'a str {
        let branch = self.branches.get(stage);
        branch.map_or(stage.name(), String::as_str)
    }

    /// Returns the stage of kind staging to which the deploys of a branch belong.
    pub(super) fn stage_of_branch(&self, branch: &str) -> Option<Stage> {
        let staging = self.compared.iter().copied();
        let mut staging = staging.filter(|stage| stage.kind() == StageKind::Staging);
        staging.find(|stage| self.branch(stage) == branch)
    }
}

/// Makes sure that a deploy context can be of this branch. The Netlify command line takes some names
/// for contexts, where a branch is meant.
fn ensure_branch(branch: &str) -> Result<(), Error> {
    let is_context = match DeployContext::parse(branch, None) {
        DeployContext::Other(name) => name == "dev" || name.is_empty(),
        _ => true,
    };
    match is_context {
        false => Ok(()),
        true => Err(Error::new(
            ErrorKind::Settings,
            format!("{branch:?} is no branch that a deploy context can be of"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(contexts: &[(DeployContext, Stage)]) -> Vec<String> {
        let contexts = contexts.iter();
        contexts.map(|(c, stage)| format!("{c}={stage}")).collect()
    }

    fn stage(text: &str) -> Stage {
        text.parse().unwrap()
    }

    /// A project with two stages of kind staging and one of kind production, by other names.
    fn project() -> ProjectStages {
        ProjectStages::new([
            (Stage::STAGING, Some("next")),
            (stage("staging/qa"), Some("qa")),
            (stage("production/live"), None),
            (Stage::DEVELOPMENT, None),
        ])
    }

    #[test]
    fn each_stage_has_its_contexts() {
        let all = [Stage::REVIEW, Stage::STAGING, Stage::PRODUCTION];
        let contexts = |stages: &[Stage], branch, others| {
            let project = ProjectStages::default().with_branch(Stage::STAGING, branch);
            written(&project.contexts(stages, others).unwrap())
        };
        assert_eq!(
            contexts(&all, "next", true),
            [
                "production=production",
                "branch:next=staging",
                "deploy-preview=review",
                "branch-deploy=review"
            ]
        );
        assert_eq!(
            contexts(&[Stage::REVIEW], "next", false),
            ["deploy-preview=review"]
        );
        let own = [
            stage("staging/qa"),
            stage("production/live"),
            Stage::STAGING,
        ];
        assert_eq!(
            written(&project().contexts(&own, true).unwrap()),
            [
                "production=production/live",
                "branch:next=staging",
                "branch:qa=staging/qa"
            ]
        );
    }

    #[test]
    fn branch_that_is_called_like_a_context_is_refused() {
        for name in ["production", "dev", "all", "deploy-preview", ""] {
            let project = ProjectStages::default().with_branch(Stage::STAGING, name);
            let refused = project.contexts(&[Stage::STAGING], true);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Settings, "{name}");
        }
        let project = ProjectStages::default();
        assert!(project.contexts(&[Stage::DEVELOPMENT], true).is_err());
    }

    #[test]
    fn stages_that_would_share_a_context_are_refused() {
        for (stages, expected) in [
            (
                &[Stage::PRODUCTION, stage("production/live")][..],
                "stages production and live have one deploy context, production: choose one",
            ),
            (
                &[Stage::REVIEW, stage("review/demo")],
                "stages review and demo have one deploy context, deploy-preview: choose one",
            ),
        ] {
            let error = project().contexts(stages, false).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        // Also where the other one is not linked: its branch would get this one's database.
        let project = project().with_branch(Stage::STAGING, "qa");
        let error = project.contexts(&[Stage::STAGING], true).unwrap_err();
        assert!(
            error.to_string().contains("give each its own branch"),
            "{error}"
        );
    }

    #[test]
    fn stages_of_the_file_are_compared_in_place_of_those_that_are_called_after_the_kinds() {
        let compared = |project: ProjectStages| -> Vec<String> {
            project.compared().iter().map(Stage::to_string).collect()
        };
        assert_eq!(
            compared(ProjectStages::default()),
            ["production", "staging"]
        );
        assert_eq!(
            compared(project()),
            ["production/live", "staging", "staging/qa"]
        );
        let qa = ProjectStages::new([(stage("staging/qa"), None)]);
        assert_eq!(compared(qa), ["production", "staging/qa"]);
        assert_eq!(project().stage_of_branch("qa"), Some(stage("staging/qa")));
        assert_eq!(project().stage_of_branch("main"), None);
    }
}
