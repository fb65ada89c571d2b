//! The stage that an argument of the command line names.

use stagelink::Stage;
use stagelink_pipeline::SettingsFile;

/// Returns the stage that an operator names: by its name in `stagelink.toml`, or by its written form
/// (`staging`, `staging/qa`).
///
/// # Errors
///
/// A text that is neither. The message says which stages the file has.
pub(crate) fn parse(text: &str, file: Option<&SettingsFile>) -> anyhow::Result<Stage> {
    let text = text.trim();
    Ok(match file {
        Some(file) => file.find_stage(text)?,
        None => text.parse()?,
    })
}
