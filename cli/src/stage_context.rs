//! The deploy context on Netlify that belongs to a stage.

use stagelink::{Stage, StageKind};
use stagelink_pipeline::{DeployContext, SettingsFile};

/// Returns the deploy context that belongs to a stage.
pub(crate) fn context_of(
    stage: Stage,
    file: Option<&SettingsFile>,
) -> Result<DeployContext, String> {
    let branch = file.and_then(|file| file.stages().get(&stage)?.branch());
    match (stage.kind(), branch) {
        (StageKind::Production, _) => Ok(DeployContext::Production),
        (_, Some(branch)) => Ok(DeployContext::Branch(branch.to_owned())),
        (StageKind::Review, None) => Ok(DeployContext::DeployPreview),
        (_, None) if stage == Stage::STAGING => Ok(DeployContext::Branch("staging".to_owned())),
        (_, None) => Err("stagelink.toml names no branch for the stage".to_owned()),
    }
}

/// The reason why Netlify is not asked.
pub(crate) const NO_NETLIFY_TOKEN: &str = "NETLIFY_AUTH_TOKEN is not set, and the Netlify command \
     line has no login for this API: set it, or run `netlify login`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_productions_that_of_the_branch_or_that_of_previews() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[stages.staging]\nbranch = \"next\"\n[stages.production]\n";
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        let file = SettingsFile::load(folder.path()).unwrap();
        let context = |stage, file: Option<&SettingsFile>| {
            context_of(stage, file).map(|context| context.to_string())
        };
        for (stage, with_file, without) in [
            (Stage::PRODUCTION, Some("production"), Some("production")),
            (Stage::STAGING, Some("branch:next"), Some("branch:staging")),
            (
                Stage::REVIEW,
                Some("deploy-preview"),
                Some("deploy-preview"),
            ),
            (Stage::DEVELOPMENT, None, None),
        ] {
            assert_eq!(context(stage, file.as_ref()).ok().as_deref(), with_file);
            assert_eq!(context(stage, None).ok().as_deref(), without);
        }
    }
}
