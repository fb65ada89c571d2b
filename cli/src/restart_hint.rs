//! The hint to a restart of `stagelink dev`, which runs the stages that `stagelink.toml` had as it started.

use std::path::Path;

use stagelink::StageKind;
use stagelink_pipeline::SettingsFile;

use crate::project;

/// Returns the end of a message about a stage that a running `stagelink dev` does not have, where a restart gives it
/// that one, or nothing does.
pub(crate) fn restart_hint(named: &str, project: &Path) -> String {
    let file = project::settings_file(project).ok().flatten();
    let stages = file.iter().flat_map(SettingsFile::stages);
    let mut stages = stages.map(|(stage, _)| *stage);
    let of_file = stages.find(|stage| stage.name() == named || stage.as_str() == named);
    let kind = of_file
        .or_else(|| named.parse().ok())
        .map(|stage| stage.kind());
    match kind {
        Some(StageKind::Review) => {
            "; the database of a preview belongs to its pull request, so `stagelink dev` has none"
                .to_owned()
        }
        Some(_) if of_file.is_some() => format!("; stagelink.toml has it: {RESTART}"),
        _ => String::new(),
    }
}

/// The way to a stage that the file has by now.
pub(crate) const RESTART: &str = "restart `stagelink dev`, which reads the file as it starts";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_that_was_added_to_the_file_needs_a_restart_and_a_preview_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            "[stages.staging]\n[stages.qa]\nkind = \"staging\"\n[stages.pr]\nkind = \"review\"\n";
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        for (named, words) in [
            ("qa", "restart `stagelink dev`"),
            ("staging/qa", "restart `stagelink dev`"),
            ("pr", "belongs to its pull request"),
            ("review", "belongs to its pull request"),
            ("development", ""),
            ("nope", ""),
        ] {
            let way = restart_hint(named, folder.path());
            assert!(
                way.contains(words) && way.is_empty() == words.is_empty(),
                "{named}: {way}"
            );
        }
    }
}
