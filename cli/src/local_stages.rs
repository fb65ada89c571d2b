//! The stages of a running `stagelink dev` beside those of the project's file, which may have others by now.

use stagelink::{Stage, StageKind};
use stagelink_pipeline::SettingsFile;

use crate::args::LocalOptions;
use crate::local_clouds;
use crate::output::note;
use crate::restart_hint::RESTART;
use crate::stage_name;

/// Notes the stages of a project's file that its running `stagelink dev` was started without, if `--local` was
/// given.
///
/// # Errors
///
/// When no site of the project runs, or several do and none is chosen.
pub(crate) fn note_others(
    options: &LocalOptions,
    file: Option<&SettingsFile>,
) -> anyhow::Result<()> {
    let running = local_clouds::stages(options)?;
    if let Some(text) = running.and_then(|running| others(&running, file)) {
        note(format_args!("note: {text}"));
    }
    Ok(())
}

/// Returns words about the stages of a file that a `stagelink dev` with others was started without.
fn others(running: &[Stage], file: Option<&SettingsFile>) -> Option<String> {
    let of_file = file.map(SettingsFile::stages).into_iter().flatten();
    let of_file = of_file.map(|(stage, _)| stage);
    // A preview has no local database.
    let missing =
        of_file.filter(|stage| stage.kind() != StageKind::Review && !running.contains(stage));
    let missing: Vec<_> = missing.map(Stage::name).collect();
    let stages = match missing.as_slice() {
        [] => return None,
        [only] => format!("stage {only}"),
        several => format!("stages {}", several.join(" and ")),
    };
    Some(format!(
        "stagelink.toml has {stages}, and the running `stagelink dev` does not: {RESTART}"
    ))
}

/// Returns the stage that an operator names: with `--local` one of the running site's, else as [`stage_name::parse`].
///
/// # Errors
///
/// Those of [`stage_name::parse`] and of [`local_clouds::find_stage`].
pub(crate) fn parse(
    text: &str,
    file: Option<&SettingsFile>,
    local: &LocalOptions,
) -> anyhow::Result<Stage> {
    match local_clouds::find_stage(local, text)? {
        Some(running) => Ok(running),
        None => stage_name::parse(text, file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_that_was_added_to_the_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[stages.staging]\n[stages.qa]\nkind = \"staging\"\n[stages.eu]\n\
                    kind = \"production\"\n[stages.pr]\nkind = \"review\"\n";
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        let file = SettingsFile::load(folder.path()).unwrap();
        let (qa, eu) = (
            "staging/qa".parse().unwrap(),
            "production/eu".parse().unwrap(),
        );
        assert_eq!(others(&[Stage::STAGING, qa, eu], file.as_ref()), None);
        assert_eq!(others(&[Stage::STAGING], None), None);
        let one = others(&[Stage::STAGING, eu], file.as_ref()).unwrap();
        assert!(one.starts_with("stagelink.toml has stage qa, and"), "{one}");
        let both = others(&[Stage::STAGING], file.as_ref()).unwrap();
        assert!(
            both.contains("stages eu and qa") || both.contains("stages qa and eu"),
            "{both}"
        );
    }
}
