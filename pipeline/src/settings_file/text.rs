//! The text of `stagelink.toml`, new or with what was missing in it.

use std::fmt;
use std::path::PathBuf;

use stagelink::Stage;
use toml::Value;

use crate::settings_file::SettingsFile;

/// The settings that `stagelink link` writes down for a project that has no file yet.
#[derive(Clone, Debug)]
pub struct NewSettingsFile {
    /// Name or id of the Netlify site.
    pub site: String,
    /// The Heroku pipeline.
    pub pipeline: String,
    /// The stages, production first.
    pub stages: Vec<NewStage>,
}

/// A stage of a [`NewSettingsFile`].
#[derive(Clone, Debug)]
pub struct NewStage {
    /// The stage.
    pub stage: Stage,
    /// The branch whose deploys belong to it.
    pub branch: Option<String>,
    /// The app that was named for it.
    pub app: Option<String>,
}

impl NewSettingsFile {
    /// Returns the text of an existing file with the site and the pipeline added that it does not
    /// name, or `None` where nothing can be added: a table without its key cannot be opened again.
    pub fn added_to(&self, existing: &str) -> Option<String> {
        let parse = |text: &str| SettingsFile::parse(PathBuf::new(), text).ok();
        let file = parse(existing)?;
        let missing = [
            (file.site().is_none(), "netlify", "site", &self.site),
            (
                file.pipeline().is_none(),
                "heroku",
                "pipeline",
                &self.pipeline,
            ),
        ];
        let mut text = existing.to_owned();
        for (is_missing, table, key, value) in missing {
            let value = Value::String(value.clone());
            let added = format!("{text}\n[{table}]\n{key} = {value}\n");
            if is_missing && parse(&added).is_some() {
                text = added;
            }
        }
        (text != existing).then_some(text)
    }
}

impl fmt::Display for NewSettingsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| Value::String(text.to_owned());
        writeln!(
            f,
            "# The stages of this project, for the command stagelink. Commit this file: it holds \
             no secret.\n\n[netlify]\nsite = {}\n\n[heroku]\npipeline = {}",
            quoted(&self.site),
            quoted(&self.pipeline)
        )?;
        for NewStage { stage, branch, app } in &self.stages {
            writeln!(f, "\n[stages.{}]", stage.name())?;
            let kind = stage.has_own_name().then(|| stage.kind().to_string());
            for (key, value) in [("kind", &kind), ("branch", branch), ("app", app)] {
                if let Some(value) = value {
                    writeln!(f, "{key} = {}", quoted(value))?;
                }
            }
        }
        Ok(())
    }
}
