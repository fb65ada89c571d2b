//! The tables of `stagelink.toml` as they stand in the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use stagelink::Stage;

use crate::error::Error;
use crate::settings_file::check::{ensure_text, syntax_error};
use crate::settings_file::mistake::Mistake;
use crate::settings_file::stage::{HerokuTable, StageSettings, StageTable};

/// The whole file. A key that is not known is an error: a misspelled one would be ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) netlify: NetlifyTable,
    #[serde(default)]
    pub(super) heroku: HerokuTable,
    #[serde(default)]
    stages: BTreeMap<String, StageTable>,
    #[serde(default)]
    pub(super) migrations: MigrationsTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with the key site")]
pub(super) struct NetlifyTable {
    pub(super) site: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with the key folder")]
pub(super) struct MigrationsTable {
    pub(super) folder: Option<PathBuf>,
}

impl Document {
    /// Parses the text of the file.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let document: Self = toml::from_str(text).map_err(|error| syntax_error(text, &error))?;
        let checked = document.ensure_texts();
        checked.map_err(|mistake| mistake.into_error(text))?;
        Ok(document)
    }

    /// Returns the settings of each stage.
    pub(super) fn stages(&self) -> Result<BTreeMap<Stage, StageSettings>, Mistake> {
        let mut stages = BTreeMap::new();
        for (name, table) in &self.stages {
            let stage = name.parse::<Stage>().map_err(|error| {
                Mistake::at(
                    format!("a table of stages is named after no stage: {error}"),
                    vec!["stages".to_owned(), name.clone()],
                )
            })?;
            stages.insert(stage, table.settings(stage, &self.heroku)?);
        }
        Ok(stages)
    }

    fn ensure_texts(&self) -> Result<(), Mistake> {
        ensure_text("netlify.site", self.netlify.site.as_deref())?;
        ensure_text("heroku.pipeline", self.heroku.pipeline.as_deref())?;
        ensure_text("heroku.config_var", self.heroku.config_var.as_deref())?;
        let folder = self.migrations.folder.as_deref();
        ensure_text(
            "migrations.folder",
            folder.and_then(|folder| folder.to_str()),
        )
    }
}
